"""Which circuits are scheduled: the options of the config group ``env/circuits``, one module each."""
