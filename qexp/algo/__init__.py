"""How a decider is learned, on RLlib. The only package that imports Ray, and that as late as it can."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Training": "training",
    "OnPolicy": "on_policy",
    "Batch": "training",
    "A2C": "a2c",
    "PPO": "ppo",
    "DQN": "dqn",
    "A2CConfig": "configs",
    "PPOConfig": "configs",
    "DQNConfig": "configs",
    "register_vector_env": "lockstep_algorithm",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return what there is."""
    return sorted({*globals(), *_HOMES})
