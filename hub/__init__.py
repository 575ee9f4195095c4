"""A centre: takes exchanges in, replicates them, applies them to its store and answers queries.

agencies → `ingest` → replication (log, ship, commit) → `store` (apply) → `query`. `catalogue` says what
the data sets are; `node` puts the parts together; `service` and `client` are the two ends of the gRPC API.
"""

from hub import forks as forks
