"""Trained policies by the name that scripts import them by."""

from qexp.problem.bundle import load_policy, save_policy
from qexp.problem.policy import Policy

__all__ = ["Policy", "load_policy", "save_policy"]
