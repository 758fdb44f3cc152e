"""Whole training runs on a toy: small settings, the weights they end with, and what the policy costs."""

from __future__ import annotations

import io
import json
import pickle

import numpy as np
from toys import LENGTH, DelayedCosts

SMALL_A2C = {
    "num_envs": 64,
    "rollout_length": LENGTH,
    "min_iterations": 1,
    "hidden": 32,
    "prior": 0.0,
    "lr": 1e-2,
    "reward_scale": 1.0,
}
SMALL_DQN = {
    "num_envs": 32,
    "rollout_length": 8,
    "hidden": 32,
    "prior": 0.0,
    "lr": 2e-3,
    "reward_scale": 1.0,
    "n_step": 2,
    "buffer_size": 20_000,
    "learning_starts": 1_000,
    "batch_size": 256,
    "target_update": 2_000,
    "steps_per_iteration": 2_000,
}


def run(config, folder, *, seed=0, on_iteration=lambda row: None, make=DelayedCosts, **more):
    from qexp.algo.train import train

    return train(
        config,
        make_vector_env=make,
        seed=seed,
        folder=folder,
        on_iteration=on_iteration,
        bundle_metadata={"fleet": "toy"},
        **more,
    )


class NumpyOnly(pickle.Unpickler):
    def find_class(self, module, name):
        if module.split(".")[0] == "numpy" or (module, name) == ("collections", "OrderedDict"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def policy_weights(checkpoint):
    """Read a checkpoint's weights the way a bundle is extracted: NumPy arrays, no Ray."""
    path = checkpoint / "learner_group/learner/rl_module/default_policy/module_state.pkl"
    return NumpyOnly(io.BytesIO(path.read_bytes())).load()


def cost_of_policy(checkpoint, episodes=4000):
    """Mean total cost of the greedy policy, run without RLlib."""
    import torch

    from qexp.problem.network import Architecture, ScorerNetwork

    metadata = json.loads((checkpoint / "qexp.json").read_text())
    network = ScorerNetwork(Architecture(**metadata["architecture"]))
    weights = policy_weights(checkpoint)
    prefix = "network."
    network.load_state_dict(
        {
            key.removeprefix(prefix): torch.from_numpy(value)
            for key, value in weights.items()
            if key.startswith(prefix) and not key.endswith("_spread")
        }
    )
    env = DelayedCosts(episodes)
    observation, _ = env.reset(seed=123)
    for _ in range(LENGTH):
        with torch.inference_mode():
            tensors = {key: torch.from_numpy(value) for key, value in observation.items()}
            scores, _ = network(tensors["task"], tensors["nodes"], tensors["action_mask"])
            actions = scores.masked_fill(tensors["action_mask"] == 0, -np.inf).argmax(-1).numpy()
        observation, _, _, _, infos = env.step(actions)
    return infos["total_completion_time"].mean()
