"""What was learned: features, network and bundle of policies. Needs neither Ray nor Gymnasium."""

from qexp.policy.bundle import load_policy, save_policy
from qexp.policy.policy import Policy

__all__ = ["Policy", "load_policy", "save_policy"]
