"""What a run needs to know of an environment: its episodes, how one is played, and what is measured.

The options of the config group ``env`` are decision problems. Training, evaluation and reports know them
through this class alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qexp.metric import Metric
from qexp.scheduler.scheduler import Scheduler

EVALUATION_STREAM = 1  # keeps evaluation episodes apart from every other use of the same seed


@dataclass(frozen=True)
class Played:
    """What is kept of an episode.

    Attributes:
        totals: Values of `DecisionProblem.episode_columns` without the first two.
        tasks: A row for each task, of a circuit each gate: values of `DecisionProblem.task_columns`, without
            the first two.
    """

    totals: tuple[object, ...]
    tasks: list[tuple[object, ...]]


class DecisionProblem(ABC):
    """Episodes in which a scheduler makes one decision after another.

    Attributes:
        metric: What is measured.
        episode_columns: Columns of episodes.csv, the first two `scheduler` and `episode`.
        task_columns: Columns of the file with a row for each task, of a circuit each gate; likewise.
    """

    metric: ClassVar[Metric]
    episode_columns: ClassVar[tuple[str, ...]]
    task_columns: ClassVar[tuple[str, ...]]

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
    @abstractmethod
    def of_policy(self) -> dict[str, Any]:
        """What a policy that is trained here has to say of it: its ``environment``, and what that needs."""

    @property
    def notes(self) -> list[str]:
        """What a user may not expect of these settings, in lines for the console."""
        return []

    @abstractmethod
    def pictured(self, seed: int) -> dict[str, Any]:
        """Return what pictures of a seed's first episode need beside its rows, see `qexp.report.plots`."""

    @abstractmethod
    def check_evaluation(self, episodes: int) -> None:
        """Raise `InputError` unless schedulers can be compared on that many episodes."""

    @abstractmethod
    def check_training(self, fleet_seed: int | None = None) -> None:
        """Raise `InputError` unless there is something to train on.

        Args:
            fleet_seed: See `make_vector_env`.
        """

    @abstractmethod
    def episode(self, seed: int, k: int) -> Any:
        """Return evaluation episode ``k`` of a seed: the same whoever asks, and whatever was asked before."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, episodes: int) -> Any:
        """Draw training episodes."""

    @abstractmethod
    def make_vector_env(self, num_envs: int, fleet_seed: int | None = None) -> Any:
        """Return a vector environment of training episodes.

        Args:
            num_envs: How many at once.
            fleet_seed: Of random fleets in the configured one's place, where environments have fleets.
        """

    @abstractmethod
    def play(self, scheduler: Scheduler, episode: Any, rng: np.random.Generator) -> Played:
        """Play one episode on the reference engine.

        Args:
            scheduler: Who decides.
            episode: What `episode` returned.
            rng: The scheduler's randomness.

        Raises:
            InputError: The scheduler does not come to an end.
        """
