"""Three-code linkage: person ↔ legal person ↔ building ↔ grid cell ↔ employer, as registries of links.

    buildings, grid_cells        → building_links      (cells: coordinates → H3, here; the rest in SQL at the centre)
    residents, insured_people,
    legal_persons, building_links → person_links
    legal_persons, residents,
    building_links                → legal_person_links

`registries` says of what each is made and how its rows differ from what is stored (`*.sql` beside it); `memory` what
the last run saw, kept in the hub as data set `linkage_runs`; `cells` finds the grid cell of a place; `run` does it,
over the port `hub_port`; `centre` is that port at a real pair.
"""
