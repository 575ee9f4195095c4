"""The synthetic city: sensors, readings and buildings from one seed, and a little real data to load beside them."""
