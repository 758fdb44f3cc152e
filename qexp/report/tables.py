"""A sweep's tables on the console: all jobs with how they ended, and the contenders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from qexp.problem.metric import Metric
from qexp.report.contenders import RESAMPLES, Contender
from qexp.report.progress import report_console
from qexp.report.sweeps import Sweep
from qexp.report.wording import share
from qexp.runfolder import COMPLETED, PLANNED, resume_with

STYLES = {"FAILED": "red", "KILLED": "red", "PLANNED": "yellow", "CUT_OFF": "yellow", "MISSING": "yellow"}
LONGEST_ERROR = 300


def show(sweep: Sweep) -> None:
    """Print the tables of a sweep."""
    console = report_console()
    console.print(jobs_table(sweep))
    for number, job in enumerate(sweep.jobs):
        if job.error:
            console.print(
                f"job {number}: {job.error[:LONGEST_ERROR]}", highlight=False, markup=False, style="red"
            )
    done = sum(job.status == COMPLETED for job in sweep.jobs)
    planned = [job.folder for job in sweep.jobs if job.status == PLANNED]
    console.print(f"{done} of {len(sweep.jobs)} jobs completed", highlight=False)
    if planned:
        console.print(
            f"{len(planned)} planned; to let one loose: "
            f"python -m qexp {resume_with(planned[0])} deploy.confirm=true",
            highlight=False,
            soft_wrap=True,
        )
    if sweep.contenders:
        console.print(leaderboard(sweep.contenders))


def jobs_table(sweep: Sweep) -> Table:
    """Return a table with a row per job."""
    table = _table("Jobs")
    table.add_column("job", justify="right")
    for key in sweep.swept:
        table.add_column(key, overflow="fold")
    table.add_column("status")
    metrics = sweep.metrics_used
    table.add_column(f"mean ({_each(metric.unit for metric in metrics)})", justify="right")
    table.add_column(f"vs {_each(metric.reference for metric in metrics)} (%)", justify="right")
    table.add_column("gap closed", justify="right")
    if any(metric.ratio for metric in metrics):
        table.add_column("over optimum", justify="right")
    for number, job in enumerate(sweep.jobs):
        status = Text(job.status.lower().replace("_", " "), style=STYLES.get(job.status, ""))
        figures, metric = job.figures or {}, job.metric
        cells = [
            _number(job.objective),
            _number(figures.get(f"vs_{metric.reference}_pct") if metric else None, "+"),
            share(figures.get("gap_closed")),
        ]
        if any(metric.ratio for metric in metrics):
            cells.append(
                _ratio(
                    figures.get((job.metric and job.metric.ratio) or ""), figures.get("optimum_proved_share")
                )
            )
        swept = [Text(job.settings.get(key, "")) for key in sweep.swept]  # lists are no markup
        table.add_row(str(number), *swept, status, *cells)
    return table


def leaderboard(rows: Sequence[Contender]) -> Group:
    """Return a table for each section, the best contender first."""
    sections: dict[str, Table] = {}
    for row in rows:
        if row.section not in sections:
            sections[row.section] = _leaderboard(row.section, row.metric)
        if row.metric.ratio is None:
            figures = [_number(row.iqm), _range(row.iqm_low, row.iqm_high)]
        else:
            figures = [_ratio(row.ratio, row.proved), _range(row.ratio_low, row.ratio_high, digits=3)]
        sections[row.section].add_row(
            row.name,
            str(row.runs),
            _number(row.mean),
            *figures,
            _number(row.change_pct, "+"),
            _range(row.change_low_pct, row.change_high_pct, "+"),
            share(row.improvement),
            share(row.gap_closed),
        )
    caption = f"95 % intervals, stratified bootstrap over runs and episodes, {RESAMPLES:,} draws"
    if any(row.proved is not None and row.proved < 1 for row in rows):
        caption += "\n* not proved: in some episodes the best schedule found takes the optimum's place"
    return Group(*sections.values(), Text(caption, style="italic"))


def _leaderboard(section: str, metric: Metric) -> Table:
    table = _table(f"{metric.title.capitalize()} of an episode{f', {section}' if section else ''}")
    table.add_column("scheduler", overflow="fold", min_width=11)
    base, unit = metric.reference.replace("_", "\n", 1), metric.unit
    titles = [
        "runs",
        f"mean\n{unit}",
        *([f"IQM\n{unit}", f"interval\n{unit}"] if metric.ratio is None else ["over\noptimum", "interval"]),
        f"vs {base}\n%",
        "interval\n%",
        f"better\nthan {base}" if metric.ratio is None else "better",
        "gap\nclosed",
    ]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _table(title: str) -> Table:
    return Table(
        title=escape(title),
        box=box.SIMPLE_HEAD,
        padding=0,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )


def _number(value: float | None, sign: str = "", digits: int = 1) -> str:
    return "-" if value is None else f"{value:{sign}z.{digits}f}"


def _range(low: float | None, high: float | None, sign: str = "", digits: int = 1) -> str:
    if low is None or high is None:
        return "-"
    return f"{_number(low, sign, digits)}..{_number(high, sign, digits)}"


def _ratio(value: float | None, proved: float | None) -> str:
    """Return makespan / optimum, marked where that is the best schedule found and not proved."""
    return _number(value, digits=3) + ("*" if proved is not None and proved < 1 else "")


def _each(words: Iterable[str]) -> str:
    return "/".join(dict.fromkeys(words))
