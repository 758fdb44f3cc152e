"""What machines there are: fleets, their snapshots and their calibration."""
