"""What runs a campaign's circuits: the simulator, local machines, IBM Quantum."""
