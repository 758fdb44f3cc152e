"""A sweep as its folder tells it: which jobs there are, how they ended, and who is better over all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import yaml

from qexp.config.identity import names_with_values, with_names
from qexp.config.option import NAME, TARGET
from qexp.config.plots import FORMATS, plot_format
from qexp.errors import InputError
from qexp.problem.metric import Metric
from qexp.report.contenders import Contender, Sample, contenders
from qexp.report.leaderboard import board
from qexp.report.statistics import Floats
from qexp.report.table import Row, Table
from qexp.report.wording import metric_part
from qexp.runfolder import COMPLETED, PLANNED, RESULT_FILE, RunFolder

if TYPE_CHECKING:
    import pandas as pd

SWEEP_FILE = "sweep.json"
JOBS = ".jobs"
"""Folder in a sweep's: a file for each job that ever began, which says where it writes."""
TABLE_FILE, LEADERBOARD_FILE = "sweep.csv", "sweep_leaderboard.csv"
FIGURES = tuple(f"sweep.{name}" for name in FORMATS)
"""Names of the figure, by its format."""

FAILED, KILLED, PRUNED = "FAILED", "KILLED", "PRUNED"
"""`PRUNED`: a search stopped it early, because others were doing better."""
CUT_OFF, MISSING = "CUT_OFF", "MISSING"
"""Further states of a job: it began and left no result; it never began."""

OF_THE_CONTENDER = ("algo", "scheduler")
"""First parts of keys that make another contender; all others but the seeds make another section."""
SEEDS = ("seed", "eval.seed")


@dataclass(frozen=True)
class Job:
    """One job of a sweep, or any run, as its folder tells it.

    Attributes:
        folder: Its run folder.
        settings: What it was run with, of the keys that the sweep varies.
        status: `COMPLETED`, `PLANNED`, `FAILED`, `KILLED`, `PRUNED`, `CUT_OFF` or `MISSING`.
        error: What it failed of, or None.
        decider: The scheduler it is about: what it trained, or else the chosen one; None before the end.
        trained: Whether it trained that.
        rows: Its leaderboard, see `LeaderboardRow.record`; empty before the evaluation was done.
        seed: Its seed.
        eval_seed: The seed of its evaluation episodes.
        metric: What schedulers were compared by; None as long as it has no leaderboard.
    """

    folder: Path
    settings: dict[str, str]
    status: str
    error: str | None = None
    decider: str | None = None
    trained: bool = False
    rows: Sequence[Row] = ()
    seed: int = 0
    eval_seed: int = 0
    metric: Metric | None = None

    @classmethod
    def read(cls, folder: Path, settings: dict[str, str]) -> Self:
        """Read a job's folder, whatever state it is in.

        Args:
            folder: Of the job, which need not exist.
            settings: Values by key that set it apart in its sweep.
        """
        result = RunFolder(folder).result
        if not result:
            return cls(folder, settings, CUT_OFF if folder.is_dir() and any(folder.iterdir()) else MISSING)
        if not result["leaderboard"]:  # else the evaluation is done, whatever came of a campaign
            return cls(folder, settings, result["status"], result.get("error"))
        options = result["options"]
        # Version 0.1 called every decider by its option.
        decider = result.get("decider") or options["scheduler" if options["algo"] == "none" else "algo"]
        row = next(row for row in result["leaderboard"] if row["scheduler"] == decider)
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        from qexp.problem.problem import metric_of  # with its room comes Gymnasium

        return cls(
            folder,
            settings,
            result["status"],
            error=f"{decider} failed: {row['error']}" if row.get("error") else None,
            decider=decider,
            trained=options["algo"] != "none",
            rows=result["leaderboard"],
            seed=result["seed"],
            eval_seed=config["eval"]["seed"],
            metric=metric_of({NAME: options["env"]} | with_names(config.get("env", {}))),
        )

    @property
    def figures(self) -> dict[str, float | None]:
        """The decider's, by the names in `_figures`; empty before the end."""
        own = next((row for row in self.rows if row["scheduler"] == self.decider), None)
        if own is None or self.metric is None or own.get("error"):
            return {}
        return {key: own[key] for key in _figures(self.metric)}

    @property
    def objective(self) -> float | None:
        """The decider's mean, or None before the end."""
        return None if self.metric is None else self.figures.get(f"{self.metric.column}_mean")

    def table(self) -> Table:
        """Return its leaderboard.

        Raises:
            InputError: It has none.
        """
        if self.metric is None:
            raise InputError(f"{self.folder} has no leaderboard{f': {self.error}' if self.error else ''}")
        return board(self.rows, self.metric, self.decider if self.trained else None)


@dataclass(frozen=True)
class Sweep:
    """The content of a sweep's folder.

    Attributes:
        folder: The sweep's folder.
        swept: Keys that the sweep varies.
        jobs: All planned jobs, in order; then those that a sweeper made up as it went.
        contenders: Every scheduler over the completed jobs.
        base: The configuration that the jobs' overrides are applied to, by dotted key.
    """

    folder: Path
    swept: list[str]
    jobs: list[Job]
    contenders: list[Contender]
    base: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a sweep's folder.

        Raises:
            InputError: It is none.
        """
        file = folder / SWEEP_FILE
        if not file.is_file():
            raise InputError(
                f"{folder} is not the folder of a sweep, nor of a run that ended: "
                f"it has no {SWEEP_FILE} and no {RESULT_FILE}"
            )
        plan = json.loads(file.read_text(encoding="utf-8"))
        swept = plan["swept"]
        begun = _begun(folder)
        overrides = {job["folder"]: job["overrides"] for job in plan["jobs"]}
        overrides |= {name: parts for name, (_, parts) in begun.items() if name not in overrides}
        places = {name: folder / (begun[name][0] if name in begun else name) for name in overrides}
        jobs = [Job.read(places[name], _values(parts, swept)) for name, parts in overrides.items()]
        return cls(folder, swept, jobs, contenders(_samples(jobs)), names_with_values(plan["base"]))

    @property
    def figure(self) -> Path:
        """Where its figure is, or would be."""
        return self.folder / f"sweep.{plot_format(self.base.get('plots', True)) or FORMATS[0]}"

    @property
    def metrics_used(self) -> list[Metric]:
        """The metrics of its jobs: usually one metric, of several environments several."""
        used = list(dict.fromkeys(job.metric for job in self.jobs if job.metric and job.figures))
        if used or f"env.{NAME}" not in self.base:
            return used
        from qexp.problem.problem import metric_of  # with its room comes Gymnasium

        return [metric_of({key: self.base.get(f"env.{key}") for key in (NAME, TARGET)})]

    def table(self) -> pd.DataFrame:
        """Return one row per job."""
        import pandas as pd

        figures = [key for metric in self.metrics_used for key in _figures(metric)]
        rows = [
            {"job": number, "folder": os.path.relpath(job.folder, self.folder)}
            | {key: job.settings.get(key) for key in self.swept}
            | {"status": job.status, "scheduler": job.decider}
            | dict.fromkeys(figures)
            | job.figures
            | {"error": job.error}
            for number, job in enumerate(self.jobs)
        ]
        return pd.DataFrame(rows)

    def write(self, *, figure: bool = True) -> None:
        """Write `sweep.csv`, and of completed jobs `sweep_leaderboard.csv` and, if wanted, the figure."""
        import pandas as pd

        self.table().to_csv(self.folder / TABLE_FILE, index=False)
        if not self.contenders:
            return
        rows = [row.record() for row in self.contenders]
        pd.DataFrame(rows).to_csv(self.folder / LEADERBOARD_FILE, index=False)
        if not figure:
            return
        from qexp.report.plots import comparison

        comparison.plot(self.contenders, self.figure)

    def files(self) -> list[Path]:
        """Return the paths of what `write` wrote."""
        paths = (self.folder / TABLE_FILE, self.folder / LEADERBOARD_FILE, self.figure)
        return [path for path in paths if path.is_file()]

    def metrics(self) -> dict[str, float | None]:
        """Return figures for a tracker: how many jobs ended how, and the contenders' main figures."""
        figures: dict[str, float | None] = {"sweep/jobs": len(self.jobs)}
        for status in (COMPLETED, PLANNED, FAILED):
            figures[f"sweep/{status.lower()}"] = sum(job.status == status for job in self.jobs)
        for row in self.contenders:
            name = "/".join(metric_part(part) for part in ("sweep", row.section, row.name) if part)
            shown = ("iqm", f"vs_{row.metric.reference}_pct", str(row.metric.ratio), "optimum_proved_share")
            figures |= {f"{name}/{key}": value for key, value in row.record().items() if key in shown}
        return figures


def _begun(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """Return where jobs of a sweep write, and their overrides, by name in the order in which they began."""
    notes = sorted((folder / JOBS).glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    if notes:
        begun = {note.stem: json.loads(note.read_text(encoding="utf-8")) for note in notes}
        return {name: (note["folder"], note["overrides"]) for name, note in begun.items()}
    # Sweeps of earlier versions: the name of a job is that of its folder.
    files = sorted(folder.glob("*/.hydra/overrides.yaml"), key=lambda path: path.stat().st_mtime_ns)
    names = {path: path.parents[1].name for path in files}
    return {name: (name, yaml.safe_load(path.read_text("utf-8")) or []) for path, name in names.items()}


def _by_scheduler(episodes: pd.DataFrame, column: str | None) -> dict[str, Floats]:
    """Return a column of each scheduler's episodes; nothing where there is no such column."""
    if column not in episodes:
        return {}
    return {
        str(name): rows.sort_values("episode")[column].to_numpy(dtype=np.float64)
        for name, rows in episodes.groupby("scheduler", sort=False)
    }


def _figures(metric: Metric) -> list[str]:
    """Return the columns of a leaderboard that a sweep's table shows of each job's own scheduler."""
    base = f"vs_{metric.reference}"
    names = [
        f"{metric.column}_mean",
        f"{base}_pct",
        f"{base}_ci_low_pct",
        f"{base}_ci_high_pct",
        "gap_closed",
    ]
    return names if metric.ratio is None else [*names, metric.ratio, "optimum_proved_share"]


def _values(overrides: list[str], swept: list[str]) -> dict[str, str]:
    pairs = (part.lstrip("+").partition("=") for part in overrides)
    return {key: value for key, _, value in pairs if key in swept}


def _samples(jobs: list[Job]) -> list[Sample]:
    """Return what the completed jobs measured, each evaluation once.

    A baseline that several jobs evaluated on the same episodes is one run; what was trained, one per seed.
    """
    import pandas as pd

    samples: dict[tuple[object, ...], Sample] = {}
    for job in jobs:
        if job.metric is None or not job.figures:
            continue
        episodes = pd.read_csv(job.folder / "episodes.csv")
        times = _by_scheduler(episodes, job.metric.column)
        ratios = _by_scheduler(episodes, job.metric.ratio)
        proved = None
        if "optimum_proved" in episodes:
            proved = episodes.groupby("episode")["optimum_proved"].first().to_numpy(dtype=np.bool_)
        ours = {key: value for key, value in job.settings.items() if _first(key) in OF_THE_CONTENDER}
        others = {key: value for key, value in job.settings.items() if key not in {*ours, *SEEDS}}
        section = " ".join(_parts(others))
        for scheduler, its in times.items():
            own = scheduler == job.decider
            trained = own and job.trained
            # A heuristic's name says its settings; what trained a policy is said by what was varied.
            name = scheduler
            if trained or (own and scheduler in {"policy", job.settings.get("scheduler")}):
                chosen = job.settings.get("algo" if trained else "scheduler", scheduler)
                name = " ".join([chosen, *_parts(ours, nested=True)])
            key = (section, name, job.eval_seed, job.seed if trained else None)
            reference, ideal = times.get(job.metric.reference), times.get(job.metric.ideal)
            sample = Sample(
                section, name, its, job.metric, reference, ideal, trained, ratios.get(scheduler), proved
            )
            samples.setdefault(key, sample)
    return list(samples.values())


def _parts(values: Mapping[str, str], *, nested: bool = False) -> list[str]:
    return [f"{key}={value}" for key, value in values.items() if "." in key or not nested]


def _first(key: str) -> str:
    return key.partition(".")[0].partition("/")[0]
