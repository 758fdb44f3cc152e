"""What happens when a task is put on a node: the SimPy reference engine and the batched NumPy engine."""
