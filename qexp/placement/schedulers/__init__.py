"""Heuristics that place tasks, and the reference that knows all of them in advance."""
