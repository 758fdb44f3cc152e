"""Schedulers of a circuit's gates: heuristics, and an exact solver as the reference."""
