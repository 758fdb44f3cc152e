"""When tasks arrive: one option per file."""
