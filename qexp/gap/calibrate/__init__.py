"""Models of execution time and fidelity, calibrated on a campaign."""
