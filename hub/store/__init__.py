"""The store of a centre: one DuckDB file that follows the logs and can always be rebuilt from them.

`changes` gathers what a group of entries does to each data set, `manifest` says which segments there are, `store`
carries both out in one transaction, `tables` has the SQL and `views` that of readers, `digest` compares two stores,
`readers` knows what running queries may still need.
"""
