"""Quality of what agencies send: four measures of every data set, and one score.

    ledger, quarantine, data set, what it refers to → measures → score, 0 to 100 → roll-up by agency → quality_scores

`measures` says how each is asked of a centre, in SQL; `score` weighs them (`weights.toml` beside it); `measuring` does
it for a whole catalogue at a real pair.
"""
