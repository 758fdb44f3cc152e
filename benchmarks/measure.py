"""What every benchmark is made of: repeated timings, side by side, and the figure that comes out."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Work = Callable[[], int]
"""Does some work and returns how many steps that was."""


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        repetitions: Timings per figure; the median is reported.
        seconds: Duration of one timing of a rate.
    """

    repetitions: int
    seconds: float


FULL = Effort(repetitions=7, seconds=2.0)
QUICK = Effort(repetitions=2, seconds=0.1)


@dataclass(frozen=True)
class Figure:
    """A measured figure.

    Attributes:
        name: What was measured.
        unit: Its unit; ``x`` for a ratio.
        values: One per repetition.
        at_least: The target, None for figures that only give context.
        aim: The better target.
        lower_is_better: Whether a small value is a good one.
    """

    name: str
    unit: str
    values: Sequence[float]
    at_least: float | None = None
    aim: float | None = None
    lower_is_better: bool = False

    @property
    def median(self) -> float:
        """Median over the repetitions."""
        return statistics.median(self.values)

    @property
    def reached(self) -> str:
        """Name of the best target that the median reaches."""
        sign = -1.0 if self.lower_is_better else 1.0
        for name, target in (("aim", self.aim), ("at least", self.at_least)):
            if target is not None and sign * self.median >= sign * target:
                return name
        return "" if self.at_least is None and self.aim is None else "no"


def rate(work: Work, seconds: float) -> float:
    """Return steps per second of wall-clock time, over at least that many seconds."""
    steps, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        steps += work()
    return steps / elapsed


def race(contenders: Mapping[str, Work], effort: Effort) -> dict[str, list[float]]:
    """Return the rates of several contenders, measured in turns.

    Whatever else the machine does in the meantime slows all of them down, so the ratio within one repetition
    says more than the rates do.
    """
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()  # the first time is never like the others
    for _ in range(effort.repetitions):
        for name, work in contenders.items():
            rates[name].append(rate(work, effort.seconds))
    return rates


def fastest(rates: Mapping[str, Sequence[float]], prefix: str) -> str:
    """Return the contender with the best median among those whose name starts with ``prefix``."""
    names = [name for name in rates if name.startswith(prefix)]
    return max(names, key=lambda name: statistics.median(rates[name]))


def ratios(rates: Mapping[str, Sequence[float]], ours: str, peer: str) -> list[float]:
    """Return ours over the peer's, repetition by repetition."""
    return [a / b for a, b in zip(rates[ours], rates[peer], strict=True)]


def command_seconds(command: Sequence[str], folder: Path, effort: Effort) -> list[float]:
    """Return the wall-clock times of a command, run once more beforehand to warm the file cache.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        effort: How often.
    """
    seconds = []
    for _ in range(effort.repetitions + 1):
        start = time.perf_counter()
        output(command, folder)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def output(command: Sequence[str], folder: Path) -> str:
    """Run a command and return what it printed.

    Raises:
        RuntimeError: It failed; the message holds what it said.
    """
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
