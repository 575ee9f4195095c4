"""Snapshots: a store as files, so that another centre, or a folder, can have it.

    take (the store's tables as segment files, at one position) → fetch what is missing (`hub.client.snapshots`)
    → install (a new store file)

| part | does |
| --- | --- |
| `description` | what a snapshot is, and its JSON |
| `take` | makes one of a store, and keeps its files for whoever fetches them |
| `install` | makes a store file of one, and decides what becomes of each log |
"""
