"""Deep Q-learning with the six parts of Rainbow; `qexp.algo.q_learning` does the learning."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge
from typing_extensions import Doc

from qexp.algo.training import Count, Fraction, NaturalNumber, NonNegative, Positive, Training
from qexp.config.option import option
from qexp.errors import InputError

SHARED = (
    *("noisy", "sigma0", "batch_size", "replay_ratio", "buffer_size"),
    *("priority_exponent", "importance_exponent", "epsilon_final", "epsilon_share"),
)
WORDS = {name: name for name in SHARED} | {
    "double": "double_q",
    "n_step": "lookahead",
    "epsilon": "epsilon_start",
    "learning_starts": "num_steps_sampled_before_learning_starts",
    "target_update": "target_network_update_freq",
    "steps_per_iteration": "min_sample_timesteps_per_iteration",
}
"""Keys of the algorithm, and what `qexp.algo.q_learning` calls them."""


@option("algo", "dqn")
@dataclass(kw_only=True)
class DQN(Training):
    """Deep Q-learning with a columnar replay and the six parts of Rainbow, each with its switch."""

    env_steps: Annotated[int | None, Ge(1), Doc("Decisions to learn from; null for no limit.")] = 1_000_000
    num_envs: Annotated[Count, Doc("Episodes stepped at once.")] = 64
    rollout_length: Annotated[int | None, Ge(1), Doc("Ticks of an episode between rounds of learning.")] = 8
    lr: Annotated[Positive, Doc("Learning rate, falling linearly to lr_final.")] = 0.002
    grad_clip: Annotated[Positive, Doc("Largest norm of a gradient; longer ones are shortened to it.")] = 10.0
    prior: Annotated[
        NonNegative,
        Doc(
            "Weight of the prior in the scores, by which learning starts at the level of a heuristic (mct) "
            "instead of at random; 0 switches it off. Scores are returns here: it is of the size of their "
            "differences."
        ),
    ] = 0.4
    checkpoint_every: Annotated[
        Count, Doc("Iterations between checkpoints, each with the whole memory (70 MB when full).")
    ] = 20
    double: Annotated[
        bool, Doc("Whether the target network values what the online network chooses: less overestimation.")
    ] = True
    dueling: Annotated[bool, Doc("Whether scores are a value plus advantages over allowed nodes.")] = True
    n_step: Annotated[
        Count, Doc("Rewards summed before the estimate: later tasks pay the price of a placement.")
    ] = 5
    prioritized: Annotated[bool, Doc("Whether steps with large errors are replayed more often.")] = True
    priority_exponent: Annotated[Fraction, Doc("How much: 0 not at all, 1 in proportion to the error.")] = 0.6
    importance_exponent: Annotated[
        Fraction, Doc("How far importance weights undo the bias of that, rising linearly to 1 at the end.")
    ] = 0.4
    distributional: Annotated[
        bool,
        Doc(
            "Whether the network outputs a distribution of returns over atoms instead of their mean (C51). "
            "Off: no better on the default scenario, and a quarter slower."
        ),
    ] = False
    atoms: Annotated[int, Ge(2), Doc("Atoms; they lie evenly on value_min to value_max.")] = 51
    value_min: Annotated[
        float,
        Doc(
            "Return of the first atom; lower ones count as this one. One in a thousand of the default "
            "scenario's, scaled, is below -8; longer episodes, other rewards and another reward_scale need "
            "another range."
        ),
    ] = -8.0
    value_max: Annotated[
        float, Doc("Return of the last atom. Completion times are never negative, so no return is above 0.")
    ] = 0.0
    noisy: Annotated[
        bool,
        Doc(
            "Whether learned noise on the last layers' weights explores instead of epsilon. Off: with a "
            "prior little is left to explore, and policies came out worse."
        ),
    ] = False
    sigma0: Annotated[
        Positive, Doc("Noise at the start: a weight's deviation times the root of its layer's inputs.")
    ] = 0.5
    epsilon: Annotated[
        Fraction, Doc("Share of random choices, falling linearly over the first epsilon_share of the run.")
    ] = 0.1
    epsilon_final: Annotated[Fraction, Doc("Share at the end.")] = 0.02
    epsilon_share: Annotated[Fraction, Doc("Part of the run over which it falls.")] = 0.5
    buffer_size: Annotated[Count, Doc("Steps the replay holds.")] = 200_000
    learning_starts: Annotated[NaturalNumber, Doc("Steps to gather before learning.")] = 5_000
    batch_size: Annotated[Count, Doc("Steps per gradient step.")] = 512
    replay_ratio: Annotated[Positive, Doc("How often each step is learned from on average.")] = 4.0
    target_update: Annotated[Count, Doc("Steps between copies into the target network.")] = 10_000
    steps_per_iteration: Annotated[Count, Doc("Steps per iteration, and so per report of metrics.")] = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = (self.rollout_length or 1) + self.n_step + 1
        needed = 2 * self.num_envs * (self.num_env_runners or 1) * steps
        if self.buffer_size < needed:
            raise InputError(
                f"algo.buffer_size={self.buffer_size}: must be at least {needed} with these algo.num_envs, "
                "algo.rollout_length and algo.n_step"
            )
        if self.distributional and self.value_min >= self.value_max:
            low, high = self.value_min, self.value_max
            raise InputError(f"algo.value_min={low:g}: must be below algo.value_max={high:g}")

    def network(self) -> dict[str, Any]:
        """Return dueling and atoms."""
        if not self.distributional:
            return {"dueling": self.dueling}
        atoms = {"atoms": self.atoms, "value_min": self.value_min, "value_max": self.value_max}
        return {"dueling": self.dueling, **atoms}

    def rllib(self) -> Any:
        """Return the settings in the words of `qexp.algo.q_learning`."""
        from qexp.algo.q_learning import DQNConfig

        config = DQNConfig()
        for name, word in WORDS.items():
            setattr(config, word, getattr(self, name))
        if not self.prioritized:
            config.priority_exponent = 0.0
        return config


def __getattr__(name: str) -> Any:
    """Know RLlib's settings by their former name."""
    if name != "DQNAlgorithmConfig":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("qexp.algo.configs").DQNConfig
