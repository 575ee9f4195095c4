"""The hub's test field: a synthetic city, a simulated world, and drills with the real processes.

`city` makes data from a seed, `world` runs the replication core over simulated clocks, links and disks, `drill` loads
live centres, breaks things and checks what is left.
"""
