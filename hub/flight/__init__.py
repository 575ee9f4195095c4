"""Arrow Flight at a centre: bulk exchanges in, answers out, for Flight SQL clients (ADBC, JDBC) and our own."""
