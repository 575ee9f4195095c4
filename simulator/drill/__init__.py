"""Drills on real processes: start a city, load it, kill parts of it, and check what is left."""
