"""Importing this package registers the environments with Gymnasium."""

import gymnasium as gym

PLACEMENT_ID = "qexp/Placement-v0"
GATE_SCHEDULING_ID = "qexp/GateScheduling-v0"
QGYM_ID = "qexp/QgymScheduling-v0"

_ENTRY_POINTS = {
    PLACEMENT_ID: ("qexp.placement.env:PlacementEnv", "qexp.placement.env:make_placement_vector"),
    GATE_SCHEDULING_ID: ("qexp.gates.env:GateEnv", "qexp.gates.env:make_gate_vector"),
    QGYM_ID: ("qexp.gates.qgym.env:GateSchedulingEnv", None),
}

for _id, (_single, _vector) in _ENTRY_POINTS.items():
    if _id not in gym.registry:
        # The environment's own checker runs in tests; wrapping every user's env in it would halve its speed.
        gym.register(_id, entry_point=_single, vector_entry_point=_vector, disable_env_checker=True)
