"""What a run leaves behind: its identity, its files and its entry in the tracker."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from qexp import __version__
from qexp.config.identity import config_hash, options_chosen
from qexp.errors import DivergenceError, interrupt_behind
from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import option_in
from qexp.report.leaderboard import LeaderboardRow, metrics
from qexp.report.wording import metric_part
from qexp.runfolder import COMPLETED, FAILED, RESULT_FILE, RunFolder
from qexp.stages.evaluation import Evaluation
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
CAMPAIGN_FILES = (
    *("journal.db", "gap.json", "gap_tasks.csv", "gap_segments.csv", "gap_machines.csv"),
    *("gap_schedulers.csv", "gap_shadows.csv", "calibration.json", "report.html"),
)
FILES = ("config.yaml", RESULT_FILE, "leaderboard.csv", "episodes.csv")


@dataclass(frozen=True)
class Result:
    """What a run found.

    Attributes:
        folder: The run folder.
        rows: One for each scheduler, best first.
        training: The training's figures, or None without training.
        mlflow_run_id: Where it was logged, or None.
        deployment: What a campaign came to, or None without one.
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
        from qexp.report.run import leaderboard_of

        return leaderboard_of(self.folder)

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


@dataclass(frozen=True)
class Identity:
    """What a run is, before it has found anything.

    Attributes:
        seed: Seed of everything random.
        config_hash: Of the resolved configuration.
        fleet_hash: Of the machines.
        versions: Of qexp, Python and what matters for results.
        git_commit: Commit of the checkout, marked if files differ from it; None outside one.
        options: Chosen option of each config group.
    """

    seed: int
    config_hash: str
    fleet_hash: str
    versions: dict[str, str]
    git_commit: str | None
    options: dict[str, str]

    @classmethod
    def of(cls, resolved: Mapping[str, Any], machines_hash: str) -> Identity:
        """Return the identity of a run of a resolved config."""
        versions = {"qexp": __version__, "python": platform.python_version()}
        return cls(
            seed=resolved["seed"],
            config_hash=config_hash(resolved),
            fleet_hash=machines_hash,
            versions=versions | {name: metadata.version(name) for name in DISTRIBUTIONS},
            git_commit=_git_commit(),
            options=options_chosen(resolved),
        )

    @property
    def tags(self) -> dict[str, object]:
        """What to find the run by."""
        tags = {key: getattr(self, key) for key in ("seed", "config_hash", "fleet_hash", "git_commit")}
        return tags | self.choices

    @property
    def choices(self) -> dict[str, str]:
        """The option chosen in each config group, named as the group's keys are: `env.arrivals`."""
        return {group.replace("/", "."): name for group, name in self.options.items()}

    @property
    def of_run(self) -> dict[str, Any]:
        """What must not change while a run is under way, or be noted if it does."""
        return {key: getattr(self, key) for key in ("config_hash", "fleet_hash", "versions")}

    @property
    def of_policy(self) -> dict[str, Any]:
        """What a policy bundle says about where it comes from."""
        return {key: getattr(self, key) for key in ("seed", "config_hash", "fleet_hash", "versions")}


def run_name(resolved: Mapping[str, Any], decider: str, label: str, folder: Path) -> str:
    """Return a name that says what decides, on how many tasks, with which seed, and what else was chosen.

    Args:
        resolved: The configuration.
        decider: The scheduler the run is about.
        label: How many tasks, see `DecisionProblem.label`.
        folder: The run folder, where Hydra notes what was set on the command line or by a sweep.
    """
    parts = [option_in(decider), label, f"seed{resolved['seed']}"]
    try:
        chosen = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text(encoding="utf-8")) or []
    except OSError:
        chosen = []  # not started from the command line
    for override in chosen:
        key, _, value = str(override).lstrip("+~").partition("=")
        if key not in _NAMED and not key.startswith(_UNNAMED):
            parts.append(f"{key.replace('/', '.').removeprefix('env.').removeprefix('algo.')}={value}")
    return "-".join(parts)[:_LONGEST_NAME]


def write_files(
    result: Result, evaluation: Evaluation, identity: Identity, folder: RunFolder, decider: str
) -> None:
    """Write the run folder's files; result.json comes last, so that who sees it can read all others.

    Args:
        result: What the run found.
        evaluation: The measurements behind it.
        identity: What the run is.
        folder: Where to write.
        decider: The scheduler the run is about.
    """
    import pandas as pd

    rows = [row.record(evaluation.metric) for row in result.rows]
    pd.DataFrame(rows).to_csv(folder.path / "leaderboard.csv", index=False)
    evaluation.episodes.to_csv(folder.path / "episodes.csv", index=False)
    evaluation.tasks.to_csv(folder.path / evaluation.metric.details, index=False)
    training = None
    if result.training is not None:
        pd.DataFrame(result.training.history).to_csv(folder.path / "training.csv", index=False)
        keys = ("env_steps", "seconds", "env_steps_per_second")
        training = {key: getattr(result.training, key) for key in keys}
    record = {"status": result.status, **asdict(identity), "mlflow_run_id": result.mlflow_run_id}
    if result.error is not None:
        record["error"] = result.error
    record |= {"training": training, "deployment": result.deployment}
    record |= {"decider": decider, "leaderboard": rows}
    folder.write_json(RESULT_FILE, record)


def write_plots(
    result: Result,
    evaluation: Evaluation,
    scenario: DecisionProblem,
    seed: int,
    learned: str | None,
    kind: str,
) -> None:
    """Draw the run's plots.

    Args:
        result: What the run found.
        evaluation: The measurements behind it.
        scenario: The decision problem.
        seed: Of the evaluation episodes.
        learned: Name of the learned scheduler, if there is one.
        kind: Format of the pictures.
    """
    import pandas as pd

    from qexp.report import plots

    plots.write(
        result.folder / "plots",
        scenario,
        episodes=evaluation.episodes,
        tasks=evaluation.tasks,
        seed=seed,
        training=None if result.training is None else pd.DataFrame(result.training.history),
        learned=learned,
        format=kind,
    )


def write_failure(error: BaseException, identity: Identity, folder: RunFolder, tracker: Tracker) -> None:
    """Record that a run failed or was interrupted, and by what."""
    status = "KILLED" if interrupt_behind(error) else FAILED  # MLflow's words
    said = repr(error)
    if isinstance(error, DivergenceError):
        import pandas as pd

        said = str(error)
        pd.DataFrame(error.history).to_csv(folder.path / "training.csv", index=False)
    record = {"status": status, **asdict(identity), "mlflow_run_id": tracker.run_id, "error": said}
    folder.write_json(RESULT_FILE, record | {"training": None, "deployment": None, "leaderboard": []})


def log_result(
    result: Result, tracker: Tracker, scenario: DecisionProblem, *, decider: str, drawn: bool
) -> None:
    """Give the tracker the run's figures, files and policy.

    Args:
        result: What the run found.
        tracker: Where it is recorded.
        scenario: The decision problem, for its metric and an example of the policy's input.
        decider: The scheduler the run is about: its figures are also logged as `eval/chosen/...`, under which
            those of runs with different schedulers stand side by side.
        drawn: Whether there are plots.
    """
    if result.status == FAILED:
        tracker.outcome = "FAILED"
    chosen = [replace(row, scheduler="chosen") for row in result.rows if row.scheduler == decider]
    tracker.log_metrics(metrics([*chosen, *result.rows], scenario.metric))
    for name in (*FILES, scenario.metric.details):
        tracker.log_artifacts(result.folder / name)
    # An earlier run in the same folder may have left what this one did not make.
    if drawn:
        tracker.log_artifacts(result.folder / "plots", "plots")
    if result.deployment is not None:
        tracker.log_metrics(campaign_metrics(result.deployment))
        for name in CAMPAIGN_FILES:
            tracker.log_artifacts(result.folder / name, "campaign")
    if result.training is not None:
        tracker.log_artifacts(result.folder / "training.csv")
        tracker.log_artifacts(result.folder / "policy", "policy")
        observation, _ = scenario.make_vector_env(4).reset(seed=0)
        if isinstance(observation, dict):  # training with the flat layout is refused
            tracker.log_policy(result.folder / "policy", observation)


def campaign_metrics(deployment: Mapping[str, Any]) -> dict[str, float | None]:
    """Return what a campaign came to as flat metrics named `deploy/...`, and the gap's as they are."""
    figures: dict[str, float | None] = dict(deployment["gap"])
    figures |= {f"deploy/{key}": deployment[key] for key in ("jobs", "quantum_seconds")}
    figures |= {f"deploy/tasks/{state}": count for state, count in deployment["tasks"].items()}
    for name, row in deployment["schedulers"].items():
        figures |= {f"deploy/{metric_part(name)}/{key}": value for key, value in row.items()}
    return figures


def _git_commit() -> str | None:
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607 - the user's git
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
