"""One risk map: a run of the risk score as one HTML page that needs no network.

    answer to map.sql ─ tables ─▶ MapTables ─ payload ─▶ columns of JSON ─ page ─▶ one HTML text
                                              ▲                             ▲
              cells, data/ (outlines of the districts)              template/ (HTML, style, script)

`tables` says what the answer holds, `cells` what the grid's hexagons look like, `payload` makes all of it small, `page`
puts the page together. All of it is pure; who asks and writes the file is `hub.cli.risk_map`. The files
`template/*.js` are parts of one script, each with one topic.
"""
