"""How long a sweep of heuristics takes, and what a job of a sweep costs beside its evaluation."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Effort, Figure

HEURISTICS = "random,round_robin,greedy,greedy_error,least_busy,mct,met,weighted"
SEEDS, FEW, MANY = 3, 3, 15
REPETITIONS = 3  # a sweep takes long enough to be less noisy than a call


def measure(effort: Effort) -> list[Figure]:
    """Time whole commands, from start to exit."""
    repetitions, seeds, few, many = REPETITIONS, SEEDS, FEW, MANY
    if effort.repetitions < REPETITIONS:
        repetitions, seeds, few, many = 1, 1, 1, 3
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    whole = [f"scheduler={HEURISTICS}", f"seed={','.join(map(str, range(seeds)))}", *launcher]
    figures = [
        Figure(
            f"{8 * seeds} heuristic jobs of 100 episodes, two at a time, tracked and drawn",
            "s",
            [sweep_seconds(whole) for _ in range(repetitions)],
            60.0,
            lower_is_better=True,
        )
    ]
    for name, override, target in (("tracked", "tracking=local", 1.5), ("not tracked", "tracking=off", 0.3)):
        costs = [job_seconds(override, few, many) for _ in range(repetitions)]
        figures.append(
            Figure(f"one more job, hardly any evaluation, {name}", "s", costs, target, lower_is_better=True)
        )
    return figures


def job_seconds(override: str, few: int, many: int) -> float:
    """Return what a job adds to a sweep: from a long and a short sweep, so that start and tables cancel."""
    tiny = [
        "eval.episodes=1",
        "env.tasks=2",
        "eval.baselines=[mct]",
        "scheduler=greedy",
        "plots=false",
        override,
    ]
    short, long = (sweep_seconds([*tiny, f"seed=range({jobs})"]) for jobs in (few, many))
    return (long - short) / (many - few)


def sweep_seconds(overrides: list[str]) -> float:
    """Return the wall-clock time of a sweep in an empty folder."""
    folder = Path(tempfile.mkdtemp(prefix="qexp-bench-"))
    try:
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "qexp", "-m", "sweep=bench", *overrides],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - start
    finally:
        shutil.rmtree(folder)
