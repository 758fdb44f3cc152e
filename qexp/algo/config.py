"""What a user may set for each learning algorithm. Light on purpose: composing a config imports no Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from qexp.algo.algo_option import AlgoOption
from qexp.algo.budget import Budget
from qexp.config.option import Chosen, option
from qexp.errors import InputError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]


@option("algo", "none")
@dataclass(kw_only=True)
class NoTraining(AlgoOption):
    """Train nothing: evaluate the chosen scheduler."""


@dataclass(kw_only=True)
class Training(AlgoOption):
    """What every learning algorithm needs; see the option's YAML file for the reason behind each value."""

    chooses: ClassVar[Mapping[str, str]] = {"scheduler": "policy"}

    env_steps: Annotated[int | None, Field(ge=1)]
    seconds: Annotated[float | None, Field(gt=0.0)]
    num_envs: Count
    rollout_length: Count | None
    num_env_runners: Annotated[int, Field(ge=0)]
    lr: Positive
    lr_final: NonNegative
    gamma: Fraction
    reward_scale: Positive
    grad_clip: Positive
    hidden: Count
    prior: NonNegative
    checkpoint_every: Count
    fleet_randomisation: bool = False

    def __post_init__(self) -> None:
        Budget(self.env_steps, self.seconds)

    @classmethod
    def contradictions(cls, own: Mapping[str, Any], chosen: Chosen) -> Iterator[str]:
        """Yield what does not go with training, see `Configurable.contradictions`."""
        algo, scheduler, env = chosen.name("algo"), chosen.name("scheduler"), chosen.kind("env")
        if scheduler != "policy":
            yield (
                f"scheduler={scheduler} with algo={algo}: training sets scheduler=policy itself; "
                "leave scheduler "
                "out (heuristics are compared through eval.baselines), or set algo=none"
            )
        elif chosen["scheduler"]["path"] is not None:
            yield f"scheduler.path with algo={algo}: training makes its own policy; leave one of the two out"
        if own["fleet_randomisation"]:
            yield from env.no_random_fleets(chosen)


@option("algo", "a2c")
@dataclass(kw_only=True)
class A2C(Training):
    """Advantage actor-critic: many episodes at once, one gradient step per batch of whole episodes."""

    env_steps: Annotated[int | None, Field(ge=1)] = 6_000_000
    seconds: Annotated[float | None, Field(gt=0.0)] = None
    num_envs: Count = 192
    rollout_length: Count | None = None
    min_iterations: Count = 300
    num_env_runners: Annotated[int, Field(ge=0)] = 0
    lr: Positive = 4e-3
    lr_final: NonNegative = 0.0
    gamma: Fraction = 1.0
    gae_lambda: Fraction = 0.99
    normalize_advantages: bool = True
    value_coefficient: NonNegative = 0.5
    entropy: NonNegative = 0.01
    entropy_final: NonNegative = 0.0
    reward_scale: Positive = 0.1
    grad_clip: Positive = 1.0
    hidden: Count = 64
    prior: NonNegative = 4.0
    checkpoint_every: Count = 100

    @property
    def episodes_at_once(self) -> int:
        """Episodes each environment runner steps at once: fewer than ``num_envs`` if the budget is small."""
        if self.env_steps is None:
            return self.num_envs
        runners = max(1, self.num_env_runners)
        affordable = self.env_steps // (self.min_iterations * (self.rollout_length or 1) * runners)
        return min(self.num_envs, max(1, affordable))


@option("algo", "dqn")
@dataclass(kw_only=True)
class DQN(Training):
    """Deep Q-learning with a columnar replay and the six parts of Rainbow, each with its switch."""

    env_steps: Annotated[int | None, Field(ge=1)] = 1_000_000
    seconds: Annotated[float | None, Field(gt=0.0)] = None
    num_envs: Count = 64
    rollout_length: Count | None = 8
    num_env_runners: Annotated[int, Field(ge=0)] = 0
    lr: Positive = 2e-3
    lr_final: NonNegative = 0.0
    gamma: Fraction = 1.0
    reward_scale: Positive = 0.1
    grad_clip: Positive = 10.0
    hidden: Count = 64
    prior: NonNegative = 0.4
    checkpoint_every: Count = 20
    double: bool = True
    dueling: bool = True
    n_step: Count = 5
    prioritized: bool = True
    priority_exponent: Fraction = 0.6
    importance_exponent: Fraction = 0.4
    distributional: bool = False
    atoms: Annotated[int, Field(ge=2)] = 51
    value_min: float = -8.0
    value_max: float = 0.0
    noisy: bool = False
    sigma0: Positive = 0.5
    epsilon: Fraction = 0.1
    epsilon_final: Fraction = 0.02
    epsilon_share: Fraction = 0.5
    buffer_size: Count = 200_000
    learning_starts: Annotated[int, Field(ge=0)] = 5_000
    batch_size: Count = 512
    replay_ratio: Positive = 4.0
    target_update: Count = 10_000
    steps_per_iteration: Count = 10_000

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
            raise InputError(
                f"algo.value_min={self.value_min:g}: must be below algo.value_max={self.value_max:g}"
            )
