"""The catalogue: contracts as data, one TOML file a source unit, loaded and checked here."""
