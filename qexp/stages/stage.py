"""What a run's stages share: what they are to do, and what they have found so far."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import Roster
from qexp.runfolder import RunFolder
from qexp.stages.record import Identity, Result
from qexp.tracking import Tracker

if TYPE_CHECKING:
    from qexp.algo.train import TrainingResult
    from qexp.report.leaderboard import LeaderboardRow
    from qexp.stages.evaluation import Evaluation


@dataclass
class Work:
    """A run under way.

    Attributes:
        resolved: Its configuration, see `qexp.config.schema.validate`.
        problem: The decision problem.
        roster: Who decides.
        identity: What the run is.
        folder: Where its files go.
        console: What a person should see.
        resumes: Whether it may continue what is in the folder.
        shared: Folder in which runs share evaluations, or None.
        tracker: Where it is recorded, once that has begun.
        begun: What is on record of the run that it continues; empty for a new one.
        training: What training found.
        evaluation: What the evaluation measured.
        rows: The leaderboard.
        deployment: What the campaign came to.
        planned: Whether the campaign waits to be confirmed.
        result: What the run found, in the end.
    """

    resolved: Mapping[str, Any]
    problem: DecisionProblem
    roster: Roster
    identity: Identity
    folder: RunFolder
    console: Console
    resumes: bool = False
    shared: Path | None = None
    tracker: Tracker = field(init=False)
    begun: dict[str, Any] = field(default_factory=dict)
    training: TrainingResult | None = None
    evaluation: Evaluation | None = None
    rows: list[LeaderboardRow] = field(default_factory=list)
    deployment: dict[str, Any] | None = None
    planned: bool = False
    result: Result | None = None

    def say(self, text: object, **style: Any) -> None:
        """Print a line as it is, however long."""
        self.console.print(text, soft_wrap=True, highlight=False, **style)


class Stage(ABC):
    """A part of a run.

    Attributes:
        work: The run.
        resumable: Whether a run that is cut off can continue where this stage was.
    """

    resumable: bool = False

    def __init__(self, work: Work) -> None:
        self.work = work

    @abstractmethod
    def prepare(self) -> None:
        """Refuse what cannot be done.

        Raises:
            InputError: Something in the configuration cannot be used.
        """

    @abstractmethod
    def run(self) -> None:
        """Do it, and keep what is found in `work`."""
