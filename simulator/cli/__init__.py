"""Commands that the simulator adds to `cityhub`: found by their entry points, so that the hub knows nothing of it."""
