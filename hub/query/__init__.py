"""Reading: the SQL guard, queries with limits at an exact position, and the formats answers are written in."""
