"""``hydra/launcher=ray``: the jobs of a sweep as tasks on a Ray cluster."""
