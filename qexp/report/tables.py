"""A sweep's tables on the console: all jobs with how they ended, and the contenders."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from qexp.report.contenders import RESAMPLES, Contender
from qexp.report.sweeps import Sweep
from qexp.runfolder import COMPLETED

STYLES = {"FAILED": "red", "KILLED": "red", "CUT_OFF": "yellow", "MISSING": "yellow"}
LONGEST_ERROR = 300
FILE_WIDTH = 100


def show(sweep: Sweep) -> None:
    """Print the tables of a sweep."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, FILE_WIDTH)
    console.print(jobs_table(sweep))
    done = sum(job.status == COMPLETED for job in sweep.jobs)
    for number, job in enumerate(sweep.jobs):
        if job.error:
            console.print(
                f"job {number}: {job.error[:LONGEST_ERROR]}", highlight=False, markup=False, style="red"
            )
    console.print(f"{done} of {len(sweep.jobs)} jobs completed", highlight=False)
    if sweep.contenders:
        console.print(leaderboard(sweep.contenders))


def jobs_table(sweep: Sweep) -> Table:
    """Return a table with a row per job."""
    table = _table("Jobs")
    table.add_column("job", justify="right")
    for key in sweep.swept:
        table.add_column(key, overflow="fold")
    table.add_column("status")
    table.add_column("mean (s)", justify="right")
    table.add_column("vs mct (%)", justify="right")
    table.add_column("gap closed", justify="right")
    for number, job in enumerate(sweep.jobs):
        status = Text(job.status.lower().replace("_", " "), style=STYLES.get(job.status, ""))
        figures = job.figures or {}
        cells = [
            _number(figures.get("total_completion_time_mean")),
            _number(figures.get("vs_mct_pct"), "+"),
            _share(figures.get("gap_closed")),
        ]
        table.add_row(str(number), *(job.settings.get(key, "") for key in sweep.swept), status, *cells)
    return table


def leaderboard(rows: Iterable[Contender]) -> Group:
    """Return a table for each section, the best contender first."""
    sections: dict[str, Table] = {}
    for row in rows:
        if row.section not in sections:
            sections[row.section] = _leaderboard(row.section)
        sections[row.section].add_row(
            row.name,
            str(row.runs),
            _number(row.mean),
            _number(row.iqm),
            _range(row.iqm_low, row.iqm_high),
            _number(row.vs_mct_pct, "+"),
            _range(row.vs_mct_low_pct, row.vs_mct_high_pct, "+"),
            _share(row.improvement),
            _share(row.gap_closed),
        )
    caption = f"95 % intervals, stratified bootstrap over runs and episodes, {RESAMPLES:,} draws"
    return Group(*sections.values(), Text(caption, style="italic"))


def _leaderboard(section: str) -> Table:
    table = _table(f"Total completion time of an episode{f', {section}' if section else ''}")
    table.add_column("scheduler", overflow="fold", min_width=11)
    titles = (
        "runs",
        "mean\ns",
        "IQM\ns",
        "interval\ns",
        "vs mct\n%",
        "interval\n%",
        "better\nthan mct",
        "gap\nclosed",
    )
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _table(title: str) -> Table:
    return Table(
        title=title, box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False, header_style="bold"
    )


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}z.1f}"


def _range(low: float | None, high: float | None, sign: str = "") -> str:
    return "-" if low is None or high is None else f"{_number(low, sign)}..{_number(high, sign)}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:z.0%}"
