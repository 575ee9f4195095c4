"""Processes that this one starts. Imported before anything that loads gRPC.

gRPC's own handlers around a fork can hang the child before it becomes another program: so Ray, which forks, did not
start. No child of ours uses gRPC without having become one.
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
