"""Data sets for the public: what goes out, in files of versions that do not change, with a catalogue beside them.

    contract → rows (SQL) ─▶ a centre ─▶ files (CSV, Parquet) → verify → publish ─▶ publications, catalog.jsonld

`rows` says what is read: columns that go out, made coarser, and only rows that look like enough others; pure.
`files` writes an answer as it comes; `verify` reads the files again and judges them by themselves; `folder` knows the
folders of versions; `registry` is the data set `publications`; `publish` is all of it in order.
"""
