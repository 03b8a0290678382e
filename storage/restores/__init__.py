"""Restores: planned from facts, restored beside, compared with the manifest, and only then given the real name."""
