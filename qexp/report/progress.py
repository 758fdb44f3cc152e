"""Progress on the console: a bar for people, a line now and then where output goes to a file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from qexp.problem.metric import Metric

QUIET_SECONDS = 30.0  # between lines where there is no terminal
FILE_WIDTH = 100  # columns where there is no terminal


def report_console() -> Console:
    """Return a console on which tables fit, also where output goes to a file."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, FILE_WIDTH)
    return console


@contextmanager
def training_progress(
    env_steps: int | None, seconds: float | None, console: Console, metric: Metric
) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """Show how training goes; give the function to call with each iteration's metrics.

    Args:
        env_steps: Budget of decisions, or None.
        seconds: Budget of time, or None.
        console: Where to print.
        metric: What training is judged by.
    """
    percent, figure = TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[figures]}")
    bar = _bar(console, percent, figure, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    task = bar.add_task("training", total=1.0, figures="starting Ray")
    last = time.monotonic()

    def advance(row: Mapping[str, float]) -> None:
        nonlocal last
        done = max(
            row["env_steps"] / env_steps if env_steps else 0.0,
            row["seconds"] / seconds if seconds else 0.0,
        )
        completion = row.get(f"episode_{metric.column}_mean")
        figures = f"{row['env_steps'] / 1e6:.2f} M steps, {row['env_steps'] / row['seconds'] / 1e3:.1f} k/s"
        if completion is not None and not math.isnan(completion):  # an episode ended in this iteration
            figures += f", {completion:.0f} {metric.unit} per episode"
        bar.update(task, completed=min(done, 1.0), figures=figures)
        if not console.is_terminal and (time.monotonic() - last > QUIET_SECONDS or done >= 1.0):
            last = time.monotonic()
            console.print(f"training {min(done, 1.0):4.0%}: {figures}")

    with bar:
        yield advance


@contextmanager
def evaluation_progress(schedulers: int, console: Console) -> Iterator[Callable[[str], None]]:
    """Show how evaluation goes; give the function to call with each scheduler that is done.

    Args:
        schedulers: How many there are.
        console: Where to print.
    """
    bar = _bar(console, MofNCompleteColumn(), TextColumn("{task.fields[name]}"))
    task = bar.add_task("evaluating", total=schedulers, name="")
    with bar:
        yield lambda name: bar.update(task, advance=1, name=name)


def _bar(console: Console, *columns: ProgressColumn) -> Progress:
    """Return a bar with its task's name, where there is a terminal to draw it on."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
