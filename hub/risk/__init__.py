"""The city's risk: formulas, impact of accidents, the score of risk points, the map."""
