"""``hydra/sweeper=optuna``: jobs whose values a search chooses by how the jobs before them went."""
