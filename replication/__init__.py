"""Replication: two copies of each log, one leader, no acknowledged entry lost.

Data moves one way: a leader appends an entry (`log`), ships it (`transport`), the standby persists
and acknowledges it, the leader commits it, and both centres apply it through the function their
host hands in. `core` decides, without I/O; `driver` carries its decisions out.
"""
