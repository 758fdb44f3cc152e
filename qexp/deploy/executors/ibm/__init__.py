"""Campaigns on IBM Quantum."""
