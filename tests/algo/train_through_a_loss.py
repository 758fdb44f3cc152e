"""Train on a cluster, kill a process group on the way, and say where the environment runners were.

Usage: python train_through_a_loss.py a2c|dqn ADDRESS PROCESS_GROUP
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from qexp.algo import A2C, DQN
from qexp.algo.train import train
from qexp.fleet.fleet import load_fleet
from qexp.placement.placement import Placement
from qexp.placement.vector_env import PlacementVectorEnv

KILL_AT = 5


def runners() -> list[str]:
    """The node of each environment runner that lives."""
    import ray

    # The public list of actors needs the dashboard.
    states = ray._private.state.actors().values()
    own = ray.get_runtime_context().get_job_id()
    return [
        state["Address"]["NodeID"]
        for state in states
        if state["State"] == "ALIVE"
        and state["JobID"] == own
        and state["ActorClassName"].endswith("LockstepEnvRunner")
    ]


def main(kind: str, address: str, group: int) -> None:
    import ray

    small = {"num_envs": 8, "num_env_runners": 2, "hidden": 16}
    config = (
        A2C(env_steps=14_000, rollout_length=25, min_iterations=1, **small)
        if kind == "a2c"
        else DQN(env_steps=14_000, buffer_size=3_000, learning_starts=500, steps_per_iteration=400, **small)
    )
    seen = {}

    def on_iteration(row: dict[str, float]) -> None:
        seen["head"] = ray.get_runtime_context().get_node_id()
        if row["iteration"] == KILL_AT:
            seen["before"] = runners()
            seen["steps_before"] = row["env_steps"]
            os.killpg(group, signal.SIGKILL)
        seen["after"] = runners()

    scenario = Placement(load_fleet("qce5"))
    result = train(
        config,
        make_vector_env=lambda num_envs: PlacementVectorEnv(scenario, num_envs),
        seed=0,
        folder=Path.cwd(),
        on_iteration=on_iteration,
        ray_address=address,
    )
    steps = [row["env_steps"] for row in result.history]
    sys.stdout.write(json.dumps(seen | {"env_steps": result.env_steps, "steps": steps}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
