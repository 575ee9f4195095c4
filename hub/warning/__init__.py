"""Early warning: what goes wrong in readings, rain and hidden dangers becomes alerts that people take and close (S12,
S18).

    readings → `sensors` (baseline.sql, sensors.sql) ┐            ┌ sent ─ once, whoever runs it and however often
    rainfall → `rain` (rain.sql)                     ├ stretches ─┤
    hidden dangers → `dangers` (dangers.sql)         ┘ → `spells` └ closed when the cause has ended
    alerts → `states` (taken, closed by people) · `calls` (experts and rescue stations)

Each detector asks a centre for stretches: moments of one place, one after the other, that have one grade. `spells`
makes of them what begins, rises and ends; `records` the rows of data set `alerts`; `run` is one pass, over the port
`hub_port`; `centre` is that port at a real pair; `memory` knows until when the last pass looked. Levels, thresholds and
who is to be called are data: `rules.toml`, read by `rules`; every alert bears its version.

All moments are of the data, not of the clock: what a pass finds depends on the rows alone. So a day that is looked at
hour by hour gives the alerts of a day that is looked at at once, and a pass that broke off is simply made again.

## Decisions
- **A higher level is an alert of its own**, with a key of its own (spell and level), and closes the one below: somebody
  who took a yellow one has not seen the red one.
- **The hub itself decides who was first.** The record that follows the nth of an alert is exchange n + 1 of producer
  `alert-<alert_id>`: of two people who take it at once, or a pass that closes what is being taken, one is accepted, the
  other learns it. So states come in order without a lock, over any failover.
- **Nobody has to take what is over.** The hub closes an alert that was only sent; a person takes it first.
- **Silence ends nothing.** A spell ends with a good reading after its time of quiet: a sensor that burnt is no good
  news.
"""
