"""What the papers' observation costs: the same A2C on a flat vector and a plain network of two layers.

``python experiments/01-learned-placement/flat.py FOLDER SEED [--scaled] OVERRIDE...`` writes ``result.json``
as ``python -m qexp`` does. The vector (arrival, width, depth and refusals of the task; qubits, CLOPS and next
free time of each machine) is given as it is, or with ``--scaled`` as its logarithm. Forbidden machines are
masked, as they are for every other row of the study: width and qubits are part of the vector.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from torch import Tensor, nn

from qexp.algo import A2C
from qexp.algo.budget import Budget
from qexp.algo.modules import MASKED_LOGIT, ActorCriticModule
from qexp.algo.session import ray_session
from qexp.algo.train import rllib_config
from qexp.cli import conf_dir
from qexp.config.build import make
from qexp.config.composition import register
from qexp.config.option import REGISTRY
from qexp.config.schema import validate
from qexp.fleet.fleet import FleetFile
from qexp.placement.observation import observe
from qexp.placement.placement import Placement
from qexp.placement.policy import PlacementPolicy
from qexp.placement.state import NodeState, TaskState
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.problem.scheduler import Scheduler
from qexp.report.leaderboard import leaderboard
from qexp.stages.evaluation import evaluate
from qexp.stages.run import identity_of


class FlatNetwork(nn.Module):
    """Two hidden layers each for policy and value."""

    def __init__(self, inputs: int, nodes: int, hidden: int, scaled: bool) -> None:
        super().__init__()
        self.scaled = scaled

        def layers(outputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(inputs, hidden),
                nn.ReLU(),
                nn.Linear(hidden, hidden),
                nn.ReLU(),
                nn.Linear(hidden, outputs),
            )

        self.policy, self.value = layers(nodes), layers(1)

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Return masked logits ``[batch, nodes]`` and values ``[batch]``."""
        width, qubits = observation[:, 1:2], observation[:, 4::3]
        # The next free time of a machine that never worked is -1.
        inputs = torch.log1p(observation.clamp(min=0)) if self.scaled else observation
        inputs = inputs.to(torch.float32)
        return self.policy(inputs).masked_fill(width > qubits, MASKED_LOGIT), self.value(inputs)[:, 0]


class FlatModule(ActorCriticModule):
    """`ActorCriticModule` with that network."""

    def setup(self) -> None:
        """Build the network."""
        self.network = FlatNetwork(**self.model_config["flat"])

    def _policy(self, observation: Any) -> tuple[Tensor, Tensor]:
        logits, values = self.network(observation["obs"])
        return logits, values


@dataclass
class FlatScheduler(Scheduler):
    """The trained network as a scheduler."""

    scenario: Placement
    network: FlatNetwork

    def select(self, task: TaskState, nodes: NodeState) -> int:
        """Return the most probable node."""
        observation = torch.from_numpy(np.asarray(observe(self.scenario, task, nodes)))
        with torch.inference_mode():
            return int(self.network(observation[None])[0].argmax())


def train(config: A2C, scenario: Placement, seed: int, scaled: bool) -> tuple[FlatNetwork, dict[str, float]]:
    """Return the trained network and the figures of its training."""
    budget = Budget(config.env_steps, config.seconds)
    nodes = len(scenario.fleet)
    with ray_session():
        model = {"inputs": 4 + 3 * nodes, "nodes": nodes, "hidden": config.hidden, "scaled": scaled}
        rllib = rllib_config(
            config, PlacementPolicy.architecture(), partial(PlacementVectorEnv, scenario), seed
        ).rl_module(rl_module_spec=RLModuleSpec(module_class=FlatModule, model_config={"flat": model}))
        algorithm = rllib.build_algo()
        steps, seconds, start = 0, 0.0, time.perf_counter()
        while not budget.spent(steps, seconds):
            algorithm.progress = budget.progress(steps, seconds)
            steps = int(algorithm.train()["env_runners"]["num_env_steps_sampled_lifetime"])
            seconds = time.perf_counter() - start
        network: Any = algorithm.get_module().network
        algorithm.stop()
    return network, {"env_steps": steps, "seconds": seconds, "env_steps_per_second": steps / seconds}


def main() -> None:
    """Train, evaluate, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--scaled", action="store_true", help="give the network logarithms")
    parser.add_argument("overrides", nargs="*", help="as for python -m qexp")
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    register()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        resolved = validate(compose("config", overrides=[*options.overrides, f"seed={options.seed}"]))
    resolved["env"]["observation"] = "flat"
    fleet = make(resolved["backend"], FleetFile).load()
    scenario = make(resolved["env"], Placement, fleet=fleet, held_out=resolved["eval"]["episodes"])
    config = replace(make(resolved["algo"], A2C), rollout_length=scenario.decisions)
    network, training = train(config, scenario, options.seed, options.scaled)
    schedulers = {"a2c": FlatScheduler(scenario, network)}
    schedulers |= {name: REGISTRY["scheduler"][name]() for name in resolved["eval"]["baselines"]}
    evaluation = evaluate(
        scenario, schedulers, episodes=resolved["eval"]["episodes"], seed=resolved["eval"]["seed"]
    )
    rows = leaderboard(evaluation.episodes, evaluation.metric, seed=resolved["eval"]["seed"])
    record = {"status": "COMPLETED", **identity_of(resolved, fleet.hash), "training": training}
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "result.json").write_text(
        json.dumps(record | {"leaderboard": [row.record(evaluation.metric) for row in rows]}, indent=2)
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
