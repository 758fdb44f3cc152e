"""How a policy is learned, as an option of the group ``algo``: what every algorithm has to say of itself.

An algorithm is a dataclass in a file of its own, derived from `Training` or `qexp.algo.on_policy.OnPolicy`.
It is light: composing a config imports neither Ray nor Torch, so its methods import what they need.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from qexp.algo.budget import Budget
from qexp.algo.none import AlgoOption
from qexp.config.option import Chosen, keys, name_of
from qexp.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Fraction = Annotated[float, Ge(0), Le(1)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(1)]
NaturalNumber = Annotated[int, Ge(0)]

HOOKS = ("rllib", "network", "loss", "reuse", "episodes_at_once", "ticks")
"""Methods that an algorithm defines, or may; the rest of its class are its settings."""


@dataclass(kw_only=True)
class Training(AlgoOption, ABC):
    """A learning algorithm: its settings, and `rllib`.

    Attributes:
        chooses: Options of other groups that go with every algorithm.
    """

    chooses: ClassVar[Mapping[str, str]] = {"scheduler": "policy"}

    env_steps: Annotated[int | None, Ge(1), Doc("Decisions to learn from; null for no limit.")] = 6_000_000
    seconds: Annotated[
        float | None,
        Gt(0),
        Doc(
            "Wall-clock limit without start-up, seconds; null for no limit. Schedules follow the nearer "
            "limit; a run that this one ends is not reproducible bit for bit."
        ),
    ] = None
    num_envs: Annotated[
        Count, Doc("Episodes stepped at once: more make each gradient step truer, fewer make more steps.")
    ] = 192
    rollout_length: Annotated[
        int | None, Ge(1), Doc("Decisions per episode and batch; null for as many as an episode has.")
    ] = None
    num_env_runners: Annotated[
        NaturalNumber,
        Doc(
            "Remote sampling processes, on a Ray cluster; 0 samples in the training process: fastest on few "
            "cores, and reproducible."
        ),
    ] = 0
    lr: Annotated[
        Positive, Doc("Learning rate, falling linearly to lr_final: large steps early, none at the end.")
    ] = 4e-3
    lr_final: Annotated[NonNegative, Doc("Learning rate at the end.")] = 0.0
    gamma: Annotated[
        Fraction, Doc("Discount per decision. Episodes end and metrics are plain sums: nothing to discount.")
    ] = 1.0
    reward_scale: Annotated[
        Positive, Doc("Factor on the rewards: at returns beyond order one, the value drowns the policy.")
    ] = 0.1
    grad_clip: Annotated[Positive, Doc("Largest norm of a gradient; longer ones are shortened to it.")] = 1.0
    hidden: Annotated[Count, Doc("Width of the network's hidden layers.")] = 64
    prior: Annotated[
        NonNegative,
        Doc(
            "Weight of the prior in the scores, by which learning starts at the level of a heuristic (mct) "
            "instead of at random; much larger values leave no room to explore, 0 switches it off."
        ),
    ] = 4.0
    fleet_randomisation: Annotated[
        bool,
        Doc(
            "Whether every training episode plays on a random fleet of half to twice as many machines, drawn "
            "like the configured one's, for a policy that is to run on other fleets. Takes about twice as "
            "long."
        ),
    ] = False
    checkpoint_every: Annotated[Count, Doc("Iterations between checkpoints; the last is always kept.")] = 100

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Refuse a class that could not learn, or not as it says, before anything is started for it."""
        check_algorithm(cls)
        return super().__new__(cls)

    @classmethod
    def contradictions(cls, own: Mapping[str, Any], chosen: Chosen) -> Iterator[str]:
        """Yield what does not go with training, see `Configurable.contradictions`."""
        algo, scheduler, env = chosen.name("algo"), chosen.name("scheduler"), chosen.kind("env")
        if scheduler != "policy":
            yield (
                f"scheduler={scheduler} with algo={algo}: training sets scheduler=policy itself; leave "
                "scheduler out (heuristics are compared through eval.baselines), or set algo=none"
            )
        elif chosen["scheduler"]["path"] is not None:
            yield f"scheduler.path with algo={algo}: training makes its own policy; leave one of the two out"
        if own["fleet_randomisation"]:
            yield from env.no_random_fleets(chosen)

    def __post_init__(self) -> None:
        Budget(self.env_steps, self.seconds)

    @property
    def episodes_at_once(self) -> int:
        """Episodes that each environment runner steps at once."""
        return self.num_envs

    @property
    def ticks(self) -> int:
        """Steps of the vector environment in a rollout."""
        if self.rollout_length is None:
            raise ValueError("algo.rollout_length is left open: how many decisions has an episode?")
        return self.rollout_length

    def network(self) -> Mapping[str, Any]:
        """Return fields of the network's `qexp.problem.network.Architecture` that the algorithm decides."""
        return {}

    @abstractmethod
    def rllib(self) -> Any:
        """Return RLlib's config of the algorithm: its class, its learner and what is its own.

        What all algorithms have in common is added to it: limits, learning rate, discount, seed, environment,
        network, and sampling in lockstep.
        """


@dataclass(frozen=True)
class Batch:
    """Decisions to learn from, a row each, as Torch tensors.

    Attributes:
        logits: Scores of the choices by the network as it is now, with gradient; those of forbidden choices
            are -1e9, so their probability is zero; ``[rows, choices]``.
        values: Value of the state by the network as it is now, with gradient, ``[rows]``.
        actions: The choice that was made, ``[rows]``.
        advantages: By how much it was better than expected, ``[rows]``.
        value_targets: What the value should have been, ``[rows]``.
        old_logits: The scores by which the choice was made, without gradient, ``[rows, choices]``.
    """

    logits: Tensor
    values: Tensor
    actions: Tensor
    advantages: Tensor
    value_targets: Tensor
    old_logits: Tensor


def check_algorithm(cls: type[Training]) -> None:
    """Raise `InputError` unless a class says how it learns.

    A class that adds settings to another algorithm and defines none of the `HOOKS` would be that algorithm,
    under a new name and with settings that nothing reads.
    """
    where = f"algo={name_of(cls, 'algo')}: {cls.__module__}.{cls.__qualname__}"
    define = "define loss(self, batch, progress)" if hasattr(cls, "loss") else "define rllib(self)"
    if cls.__abstractmethods__:
        other = "" if hasattr(cls, "loss") else "derive it from qexp.algo.OnPolicy and define loss, or "
        raise InputError(f"{where} does not say how it learns: {other}{define}")
    fields = [key.field for key in keys(cls).values()]
    for item in fields:
        if (value := vars(cls).get(item.name, item.default)) != item.default:
            raise InputError(
                f"{where}: {item.name} = {value!r} changes nothing without a type: "
                f"write {item.name}: {type(value).__name__} = {value!r}"
            )
    for base in cls.__mro__[1:]:
        if not issubclass(base, Training) or base.__abstractmethods__:
            continue
        known = keys(base)
        unread = [item.name for item in fields if item.name not in known]
        if unread and all(getattr(cls, hook, None) is getattr(base, hook, None) for hook in HOOKS):
            raise InputError(
                f"{where} adds {', '.join(unread)} to {base.__name__}, and nothing that reads it: {define}"
            )
