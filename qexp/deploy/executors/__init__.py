"""Executors of a campaign's circuits: the simulator, local machines, IBM Quantum."""
