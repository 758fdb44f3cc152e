"""How far simulation was from what a campaign measured: measure, calibrate, show."""
