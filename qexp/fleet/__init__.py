"""Machines: fleets, their snapshots and their calibration."""
