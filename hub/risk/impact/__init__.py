"""What an accident reaches: people, buildings and sensitive sites inside rings of blast and heat and contours of gas.

    scenario  what happens where            →  zones     formulas and thresholds make shapes in metres
    fetch     candidates by their bounds    →  count     who and what is inside, by the formula, not by its polygon
    run       all of it for one accident    →  geojson   zones and sites for a map

`plane` is metres around a place, `shapes` circles and plumes; `substances`, `thresholds` and `assumptions` are data
beside the code, with a version each; `sources` and `wind` fill in what the caller leaves out. `grade` puts every major
hazard source into its level, by the same data.
"""
