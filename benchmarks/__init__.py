"""Measures how fast qexp is on this machine, beside its peers where it has any: ``python -m benchmarks``."""
