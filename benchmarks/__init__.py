"""Measurements, as ratios of pairs in one run, so that the machine's speed falls out."""
