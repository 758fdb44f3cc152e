"""How long a machine is busy with a task: one option per file."""
