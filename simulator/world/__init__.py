"""Deterministic worlds: the real core under schedules that no real network or disk would offer in a lifetime."""
