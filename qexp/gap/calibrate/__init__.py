"""What of the gap a calibrated model takes away."""
