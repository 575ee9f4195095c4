"""The store of a centre: one DuckDB file that follows the logs and can always be rebuilt from them.

`changes` gathers what a group of entries does to each data set, `store` carries it out in one transaction, `tables`
has the SQL, `digest` compares two stores.

Bulk data becomes segments: `encoder` makes a Parquet file of rows, in the `encodings` that its values call for, and
`segment` describes it for the log that names it.
"""
