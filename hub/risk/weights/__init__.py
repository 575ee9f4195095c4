"""Weights and thresholds of the risk score: one file a version, and the model that reads it."""
