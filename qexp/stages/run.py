"""A run: what it is, what its stages share while it is under way, and its result."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from qexp import __version__
from qexp.config.identity import config_hash, options_chosen
from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import Roster, option_in
from qexp.report.leaderboard import LeaderboardRow
from qexp.runfolder import COMPLETED, RunFolder
from qexp.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd

    from qexp.algo.train import TrainingResult
    from qexp.problem.policy import Policy
    from qexp.report.table import Table

DISTRIBUTIONS = ("gymnasium", "hydra-core", "mlflow", "numpy", "ray", "simpy", "torch")
# What a run's name says anyway, and what would only make it long.
_NAMED = {"algo", "scheduler", "env", "env.tasks", "seed", "plots", "experiment"}
_UNNAMED = ("tracking", "eval.", "deploy", "hydra", "sweep", "resume", "ray")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        folder: The run folder.
        rows: One for each scheduler, best first.
        training: The training's figures, or None without training.
        mlflow_run_id: Where it was logged, or None.
        deployment: The campaign's figures, or None without one.
        status: `COMPLETED`; `PLANNED` if its campaign waits to be confirmed; `FAILED` if the chosen
            scheduler failed, or no task was done.
        error: Why it failed, or None.
    """

    folder: Path
    rows: list[LeaderboardRow]
    training: TrainingResult | None
    mlflow_run_id: str | None
    deployment: dict[str, Any] | None = None
    status: str = COMPLETED
    error: str | None = None

    @property
    def leaderboard(self) -> pd.DataFrame:
        """One row per scheduler, best first: the columns of leaderboard.csv."""
        import pandas as pd

        return pd.read_csv(self.folder / "leaderboard.csv")

    @property
    def table(self) -> Table:
        """The leaderboard as a table, for a console, a page or a paper: ``print(result.table.latex())``."""
        from qexp.report.sweeps import Job

        return Job.read(self.folder, {}).table()

    @property
    def policy(self) -> Policy | None:
        """The trained policy, or None without training.

        Raises:
            InputError: It is not there any more.
        """
        from qexp.problem.bundle import load_policy

        return None if self.training is None else load_policy(self.folder)

    @property
    def plots(self) -> list[Path]:
        """The pictures in the run folder."""
        return sorted((self.folder / "plots").glob("*"))


@dataclass
class Run:
    """A run under way.

    Attributes:
        resolved: Its configuration, see `qexp.config.schema.validate`.
        problem: The decision problem.
        roster: Who decides.
        identity: From `identity_of`.
        folder: Where its files go.
        console: For what a person should see.
        resumes: Whether it may continue what is in the folder.
        shared: Folder in which the runs of a sweep share evaluations, or None.
        tracker: Where it is recorded, once that has begun.
        begun: What is on record of the run that it continues; empty for a new one.
        training: Figures of the training, once there are any.
    """

    resolved: Mapping[str, Any]
    problem: DecisionProblem
    roster: Roster
    identity: Mapping[str, Any]
    folder: RunFolder
    console: Console
    resumes: bool = False
    shared: Path | None = None
    tracker: Tracker = field(init=False)
    begun: dict[str, Any] = field(default_factory=dict)
    training: TrainingResult | None = None

    def say(self, text: object, **style: Any) -> None:
        """Print a line as it is, however long."""
        self.console.print(text, soft_wrap=True, highlight=False, **style)

    @property
    def name(self) -> str:
        """The scheduler, how many tasks, the seed, and what else was chosen on the command line."""
        parts = [option_in(self.roster.chosen), self.problem.label, f"seed{self.resolved['seed']}"]
        try:  # where Hydra notes what was set on the command line or by a sweep
            text = (self.folder.path / ".hydra" / "overrides.yaml").read_text(encoding="utf-8")
        except OSError:
            text = ""
        for override in yaml.safe_load(text) or []:
            key, _, value = str(override).lstrip("+~").partition("=")
            if key not in _NAMED and not key.startswith(_UNNAMED):
                parts.append(f"{key.replace('/', '.').removeprefix('env.').removeprefix('algo.')}={value}")
        return "-".join(parts)[:_LONGEST_NAME]


def identity_of(resolved: Mapping[str, Any], machines_hash: str) -> dict[str, Any]:
    """Return what a run is, in the order of result.json.

    Args:
        resolved: Its configuration.
        machines_hash: Content hash of the machines.

    Returns:
        Seed of everything random, hashes of configuration and machines, versions of what matters for results,
        the checkout's commit (marked if files differ from it, None outside one), and the options chosen.
    """
    versions = {"qexp": __version__, "python": platform.python_version()}
    return {
        "seed": resolved["seed"],
        "config_hash": config_hash(resolved),
        "fleet_hash": machines_hash,
        "versions": versions | {name: metadata.version(name) for name in DISTRIBUTIONS},
        "git_commit": _git_commit(),
        "options": options_chosen(resolved),
    }


def _git_commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.decode().strip()
