"""Former names of commands."""
