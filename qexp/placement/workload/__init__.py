"""The circuits that tasks are made of."""
