"""A run and its parts: how it is evaluated, reported and resumed."""
