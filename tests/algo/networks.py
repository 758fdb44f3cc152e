"""Random networks and observations, and a slow projection to compare with."""

from __future__ import annotations

import numpy as np
import torch
from toys import FEATURES, NODES, DelayedCosts

from qexp.algo.modules import QModule
from qexp.placement.features import PRIOR_FEATURE
from qexp.problem.network import Architecture

ATOMS = {"atoms": 11, "value_min": -3.0, "value_max": 1.0}


def observations(seed, batch, nodes=NODES, *, task_features=2, node_features=FEATURES):
    """Random observations; in every one at least one node is allowed."""
    rng = np.random.default_rng(seed)
    mask = rng.random((batch, nodes)) < 0.6
    mask[np.arange(batch), rng.integers(nodes, size=batch)] = True
    return {
        "task": torch.from_numpy(rng.normal(size=(batch, task_features)).astype(np.float32)),
        "nodes": torch.from_numpy(rng.normal(size=(batch, nodes, node_features)).astype(np.float32)),
        "action_mask": torch.from_numpy(mask.astype(np.int8)),
    }


def shape(**architecture):
    return Architecture(
        **{
            "hidden": 8,
            "task_features": 2,
            "node_features": FEATURES,
            "prior_feature": PRIOR_FEATURE,
            **architecture,
        }
    )


def randomise(network, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return network


def make_module(*, sigma0=None, seed=0, **architecture):
    """Return a module whose online and target networks are random, and differ."""
    config = {"architecture": shape(**architecture).as_dict(), "sigma0": sigma0}
    module = QModule(
        observation_space=DelayedCosts(1).single_observation_space,
        action_space=DelayedCosts(1).single_action_space,
        model_config=config,
    )
    module.make_target_networks()
    randomise(module.network, seed)
    randomise(module.target_network, seed + 1)
    return module


def slow_projection(probabilities, reward, discount, support):
    """Bellemare et al. (2017), algorithm 1, one atom at a time."""
    result = np.zeros(len(support))
    spacing = (support[-1] - support[0]) / (len(support) - 1)
    for mass, atom in zip(probabilities, support, strict=True):
        place = np.clip((reward + discount * atom - support[0]) / spacing, 0, len(support) - 1)
        lower, upper = int(np.floor(place)), int(np.ceil(place))
        if lower == upper:
            result[lower] += mass
        else:
            result[lower] += mass * (upper - place)
            result[upper] += mass * (place - lower)
    return result
