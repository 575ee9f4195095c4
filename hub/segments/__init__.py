"""Segments of rows: immutable Parquet files, and what logs say of them.

`encoder` makes a file of rows, in the `encodings` that its values call for; `descriptor` describes it for the log that
names it; `payloads` has the log entries.
"""
