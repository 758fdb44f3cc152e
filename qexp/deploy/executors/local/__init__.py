"""Campaigns on noisy simulators of machines, here."""
