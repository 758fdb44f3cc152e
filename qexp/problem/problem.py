"""Decision problems: their episodes, how one is played, and what is measured.

The options of the config group ``env`` are decision problems. Training, evaluation and reports know them
through this class alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from qexp.config.option import (
    NAME,
    REGISTRY,
    TARGET,
    Chosen,
    Configurable,
    entries,
    group,
    installed,
    load_options,
)
from qexp.config.outside import class_at
from qexp.errors import InputError
from qexp.problem.metric import Metric
from qexp.problem.scheduler import schedulers_of

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("scheduler", "episode")
"""The first two columns of every file of rows."""

EVALUATION_STREAM = 1  # keeps evaluation episodes apart from every other use of the same seed


@dataclass(frozen=True)
class Played:
    """The record of an episode, in the columns behind `KEYS`; its rows are best named tuples.

    Attributes:
        totals: Values of `DecisionProblem.episode_columns`.
        tasks: Values of `DecisionProblem.task_columns` for each task, of a circuit each gate.
    """

    totals: tuple[object, ...]
    tasks: Sequence[tuple[object, ...]]


@dataclass(frozen=True)
class Pictured:
    """The contents of pictures of single episodes."""

    seed: int  # of the evaluation
    episode: int
    schedulers: Sequence[str]  # to be shown side by side: the best or learned one, and the reference
    ranking: Sequence[str]  # all schedulers, from the best on
    learned: str | None  # the learned one's name
    format: str  # ``png``, ``svg`` or ``pdf``


@group("env")
class DecisionProblem(Configurable, ABC):
    """Episodes in which a scheduler makes one decision after another.

    Attributes:
        metric: What is measured.
        has_fleet: Whether it runs on the machines of the group ``backend``, or brings its own.
        episode_columns: Columns of episodes.csv, the first two are `KEYS`.
        task_columns: Columns of the file with a row for each task, of a circuit each gate; likewise.
    """

    metric: ClassVar[Metric]
    has_fleet: ClassVar[bool] = True
    episode_columns: ClassVar[tuple[str, ...]]
    task_columns: ClassVar[tuple[str, ...]]

    @classmethod
    def complete(cls, config: dict[str, Any]) -> None:
        """Compare with all schedulers of the environment where none is named; give listed policies a path."""
        section, own = config.setdefault("eval", {}), config.get("scheduler") or {}
        if own.get(NAME) == "policy" and own.get("path") and isinstance(section.get("baselines"), list):
            its = {"policy": {"path": own["path"]}}
            section["baselines"] = [its if entry == "policy" else entry for entry in section["baselines"]]
        if section.get("baselines") is None:
            known, of = schedulers_of(cls.metric.environment), REGISTRY["scheduler"]
            # Not those of other packages: a leaderboard does not change with what else is installed.
            own_package = [name for name in known if _package(of[name]) == _package(cls)]
            section["baselines"] = [name for name in own_package if installed(of[name])]

    @classmethod
    def contradictions(cls, own: Mapping[str, Any], chosen: Chosen) -> Iterator[str]:
        """Yield what does not go with the environment, see `Configurable.contradictions`."""
        del own
        env, backend, scheduler = chosen.name("env"), chosen.name("backend"), chosen.name("scheduler")
        known = schedulers_of(cls.metric.environment)
        if scheduler not in {*known, "policy"}:
            yield f"scheduler={scheduler} with env={env}: choose one of {', '.join(known)}, policy"
        for name, node in entries(chosen.config["eval"]["baselines"]):
            if name == "policy" != scheduler and node.get("path") is None:
                yield "eval.baselines: policy: needs a path: write {policy:{path:FOLDER}}"
            if name not in {*known, "policy"}:
                listed = ", ".join(sorted([*known, "policy"]))
                yield f"eval.baselines: {name!r} is no scheduler of env={env}; known: {listed}"
        if cls.has_fleet and backend == "none":
            yield f"backend=none with env={env}: choose a fleet"
        if not cls.has_fleet and backend != "none":
            yield f"backend={backend} with env={env}: it runs on env.machine; leave backend out"

    @classmethod
    def no_random_fleets(cls, chosen: Chosen) -> Iterator[str]:
        """Yield why training cannot be on random fleets; here, because the environment has none."""
        yield f"algo.fleet_randomisation with env={chosen.name('env')}: only env=placement has fleets"

    @property
    @abstractmethod
    def machines_hash(self) -> str:
        """Content hash of the machines."""

    @property
    @abstractmethod
    def label(self) -> str:
        """How much there is to do in an episode, in a few letters for the names of runs."""

    @property
    @abstractmethod
    def fixed_episodes(self) -> int | None:
        """How many episodes there are, or None where they are drawn at random."""

    @property
    @abstractmethod
    def decisions(self) -> int:
        """How many decisions a learner makes in an episode, give or take."""

    @property
    def of_policy(self) -> dict[str, Any]:
        """Entries in the description of a policy that is trained here: at least ``environment``."""
        return {"environment": self.metric.environment}

    @property
    def notes(self) -> list[str]:
        """Surprises of these settings, in lines for the console."""
        return []

    def plot(self, folder: Path, tasks: pd.DataFrame, shown: Pictured) -> list[Path]:
        """Draw what is particular to the problem, by default nothing, and return the files.

        Args:
            folder: Where to.
            tasks: The rows of all episodes, `task_columns`.
            shown: Which schedulers and episode, and the format.
        """
        del folder, tasks, shown
        return []

    def check_evaluation(self, episodes: int) -> None:
        """Raise `InputError` unless schedulers can be compared on that many episodes."""

    @abstractmethod
    def check_training(self, fleet_seed: int | None = None) -> None:
        """Raise `InputError` unless there is something to train on; for the seed see `make_vector_env`."""

    @abstractmethod
    def episode(self, seed: int, k: int) -> Any:
        """Return evaluation episode ``k`` of a seed: the same whoever asks, and whatever was asked before.

        Args:
            seed: Of the evaluation.
            k: Index of the episode, from 0.
        """

    @abstractmethod
    def draw(self, rng: np.random.Generator, episodes: int) -> Any:
        """Draw training episodes.

        Args:
            rng: Source of the episodes' randomness.
            episodes: How many.
        """

    @abstractmethod
    def make_vector_env(self, num_envs: int, fleet_seed: int | None = None) -> Any:
        """Return a vector environment of training episodes.

        It resets on the step after an episode's end (``AutoresetMode.NEXT_STEP``). Its observations are
        ``task``, float32 ``[task_features]``, ``nodes``, float32 ``[choices, node_features]``, and
        ``action_mask``, int8 ``[choices]``, 1 for what may be chosen; an action is the index of a choice. Its
        metadata's ``prior_feature`` is the index of the node feature that an untrained policy prefers low.
        What is trained is read again as the `Policy` class of the environment's name.

        Args:
            num_envs: How many at once.
            fleet_seed: Of random fleets in the configured one's place, where environments have fleets.
        """

    @abstractmethod
    def play(self, scheduler: Any, episode: Any, rng: np.random.Generator) -> Played:
        """Play one episode on the reference engine.

        Args:
            scheduler: One of the problem's.
            episode: One that `episode` returned.
            rng: The scheduler's randomness.

        Raises:
            InputError: The scheduler answers what cannot be, or does not come to an end.
        """


def metrics() -> dict[str, Metric]:
    """Return what is measured in each environment, by its option."""
    load_options()
    known: dict[str, Any] = dict(REGISTRY["env"])
    return {name: cls.metric for name, cls in known.items()}


def metric_of(node: Mapping[str, Any]) -> Metric:
    """Return what is measured in the environment of a configuration's group ``env``.

    Raises:
        InputError: There is no such environment here.
    """
    load_options()
    name = node.get(NAME)
    kind: Any = REGISTRY["env"].get(str(name))
    if kind is None and TARGET in node:
        kind = class_at(str(node[TARGET]), "env", f"env.{TARGET}")
    if kind is None:
        raise InputError(f"env={name}: there is no such option; choose one of {', '.join(metrics())}")
    metric: Metric = kind.metric
    return metric


def _package(cls: type) -> str:
    return cls.__module__.partition(".")[0]
