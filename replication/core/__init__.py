"""The sans-IO core: `step(state, event) -> (state, effects)`.

Nothing below reads a clock, a disk, the network or a source of randomness, and payloads are opaque.
The caller runs effects in the order given: persist, send, ship, commit.
"""
