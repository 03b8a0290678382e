"""Rows of a usage log that are made up, for demos and for trying out how pghaven does with many."""
