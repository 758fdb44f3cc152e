"""The decision problems as Gymnasium environments; importing this package registers their ids."""

from typing import Any

import gymnasium as gym

PLACEMENT_ID = "qexp/Placement-v0"
GATE_SCHEDULING_ID = "qexp/GateScheduling-v0"


def make_placement_vector(num_envs: int = 1, scenario: Any = None, **settings: Any) -> Any:
    """Build the vectorised placement environment; entry point of ``gymnasium.make_vec``.

    Args:
        num_envs: Episodes at once.
        scenario: The placement problem; by default the papers'.
        **settings: What is different in it, see `PlacementEnv`.

    Raises:
        InputError: There is no such setting, or it is of the wrong type or out of bounds.
    """
    from qexp.env.arguments import scenario_of
    from qexp.env.placement_vector import PlacementVectorEnv

    return PlacementVectorEnv(scenario_of(scenario, settings), num_envs)


if PLACEMENT_ID not in gym.registry:
    gym.register(
        PLACEMENT_ID,
        entry_point="qexp.env.placement:PlacementEnv",
        vector_entry_point="qexp.env:make_placement_vector",
        # The environment's own checker runs in tests; wrapping every user's env in it would halve its speed.
        disable_env_checker=True,
    )

if GATE_SCHEDULING_ID not in gym.registry:
    gym.register(
        GATE_SCHEDULING_ID,
        entry_point="qexp.env.gate_scheduling.env:GateSchedulingEnv",
        disable_env_checker=True,
    )
