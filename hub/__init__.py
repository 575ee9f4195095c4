"""A centre: takes exchanges in, replicates them, applies them to its store and answers queries.

agencies → `ingest` → replication (log, ship, commit) → `store` (apply) → `query`. `catalogue` says what
the data sets are; `node` puts the parts together; `service` and `client` are the two ends of the gRPC API.
"""

import os

# gRPC's handlers around a fork can hang the child before it becomes another program: Ray, which forks, did not start.
# No child of ours uses gRPC without being one. Before gRPC is loaded, and unless the caller has chosen.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
