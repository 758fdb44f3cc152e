"""Campaigns on the simulated cloud."""
