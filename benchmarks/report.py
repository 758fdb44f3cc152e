"""Turns figures into a Markdown page that says on what machine, with what versions and when."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Figure
from qexp.report.table import STRONG, Column, Row, Table

PACKAGES = ("qexp", "numpy", "torch", "gymnasium", "simpy", "ray", "stable-baselines3", "ortools")


def machine() -> list[str]:
    """Return one line per property of this machine; take it before measuring, for the load's sake."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    packages = ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name)))
    return [
        f"Processor: {_processor()}, {len(os.sched_getaffinity(0))} cores",
        f"Load average at start (1, 5, 15 minutes): {load}",
        f"System: {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        f"Versions: {packages}",
        f"Date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    ]


def page(groups: Mapping[str, Sequence[Figure]], facts: Sequence[str]) -> str:
    """Return the results as Markdown.

    Args:
        groups: Figures by the name of their benchmark.
        facts: What else a reader must know, one line each.
    """
    lines = ["# Benchmark results", ""]
    lines += [f"- {fact}" for fact in facts]
    lines += [
        "",
        "Medians over the repetitions; what each figure means is in [benchmarks.md](benchmarks.md).",
    ]
    columns = [
        Column("name", "figure", words=True),
        Column("unit", words=True),
        Column("median", "measured", format=_number, style=lambda _: STRONG),
        Column("spread", "from - to"),
        Column("at least"),
        Column("aim"),
        Column("reached", words=True),
    ]
    for name, figures in groups.items():
        lines += ["", f"## {name}", ""]
        lines += [Table("", columns, [_row(figure) for figure in figures]).markdown().rstrip()]
    return "\n".join(lines) + "\n"


def _row(figure: Figure) -> Row:
    limit = "at most " if figure.lower_is_better else ""
    targets = {"at least": figure.at_least, "aim": figure.aim}
    return {
        **{key: getattr(figure, key) for key in ("name", "unit", "median", "reached")},
        "spread": f"{_number(min(figure.values))} - {_number(max(figure.values))}",
        **{key: "" if x is None else f"{limit}{_number(x)}" for key, x in targets.items()},
    }


def _number(value: float) -> str:
    """Format with about three significant digits."""
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
