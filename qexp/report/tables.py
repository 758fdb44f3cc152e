"""A sweep's tables: all jobs with how they ended, and the contenders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from qexp.problem.metric import Metric
from qexp.report.contenders import RESAMPLES, Contender
from qexp.report.leaderboard import unproved
from qexp.report.progress import report_console
from qexp.report.sweeps import Sweep
from qexp.report.table import BAD, PENDING, Column, Row, Table
from qexp.report.wording import share
from qexp.runfolder import COMPLETED, PLANNED, resume_with

STYLES = {"FAILED": BAD, "KILLED": BAD, "PLANNED": PENDING, "CUT_OFF": PENDING, "MISSING": PENDING}
LONGEST_ERROR = 300
TENTHS, CHANGE, RATIO = "{:z.1f}".format, "{:+z.1f}".format, "{:z.3f}".format


def show(sweep: Sweep) -> None:
    """Print the tables of a sweep."""
    console = report_console()
    say = partial(console.print, highlight=False, markup=False)
    console.print(jobs_table(sweep))
    for number, job in enumerate(sweep.jobs):
        if job.error:
            say(f"job {number}: {job.error[:LONGEST_ERROR]}", style="red")
    done = sum(job.status == COMPLETED for job in sweep.jobs)
    planned = [job.folder for job in sweep.jobs if job.status == PLANNED]
    say(f"{done} of {len(sweep.jobs)} jobs completed")
    if planned:
        one = f"python -m qexp {resume_with(planned[0])} deploy.confirm=true"
        say(f"{len(planned)} planned; to let one loose: {one}", soft_wrap=True)
    for table in boards(sweep.contenders):
        console.print(table)


def tables(sweep: Sweep) -> list[Table]:
    """Return all tables of a sweep."""
    return [jobs_table(sweep), *boards(sweep.contenders)]


def jobs_table(sweep: Sweep) -> Table:
    """Return a table with a row per job."""
    metrics = sweep.metrics_used
    over_optimum = Column("ratio", "over optimum", format=RATIO, mark=unproved)
    return Table(
        "Jobs",
        [
            Column("job"),
            *(Column(key, words=True) for key in sweep.swept),
            Column("status", words=True, style=lambda row: STYLES.get(row["state"], "")),
            Column("mean", f"mean ({_each(metric.unit for metric in metrics)})", format=TENTHS),
            Column("change", f"vs {_each(metric.reference for metric in metrics)} (%)", format=CHANGE),
            Column("gap_closed", "gap closed", format=share),
            *([over_optimum] if any(metric.ratio for metric in metrics) else []),
        ],
        [_row(sweep, number) for number in range(len(sweep.jobs))],
    )


def _row(sweep: Sweep, number: int) -> Row:
    """Return what the table shows of a job; its metric's figures under names that all metrics share."""
    job = sweep.jobs[number]
    row = dict.fromkeys(sweep.swept, "") | job.settings | job.figures
    row |= {"job": number, "state": job.status, "status": job.status.lower().replace("_", " ")}
    if job.metric is not None:
        row |= {"mean": job.objective, "change": row.get(f"vs_{job.metric.reference}_pct")}
        row["ratio"] = row.get(str(job.metric.ratio))
    return row


def boards(rows: Sequence[Contender]) -> list[Table]:
    """Return a table for each section, the best contender first."""
    sections: dict[str, list[Contender]] = {}
    for row in rows:
        sections.setdefault(row.section, []).append(row)
    return [_board(section, members, members[0].metric) for section, members in sections.items()]


def _board(section: str, rows: Sequence[Contender], metric: Metric) -> Table:
    base, unit = metric.reference.replace("_", "_\n", 1), metric.unit
    records = [row.record() for row in rows]
    if metric.ratio is None:
        level = [
            Column("iqm", "IQM", unit, TENTHS),
            Column(("iqm_low", "iqm_high"), "interval", unit, TENTHS),
        ]
    else:
        ends = (f"{metric.ratio}_low", f"{metric.ratio}_high")
        level = [
            Column(metric.ratio, "over\noptimum", format=RATIO, mark=unproved),
            Column(ends, "interval", format=RATIO),
        ]
    vs = f"vs_{metric.reference}"
    return Table(
        f"{metric.title.capitalize()} of an episode{f', {section}' if section else ''}",
        [
            Column("name", "scheduler", words=True),
            Column("runs"),
            Column("mean", unit=unit, format=TENTHS),
            *level,
            Column(f"{vs}_pct", f"vs {base}", "%", CHANGE),
            Column((f"{vs}_low_pct", f"{vs}_high_pct"), "interval", "%", CHANGE),
            Column("improvement", f"better\nthan {base}" if metric.ratio is None else "better", format=share),
            Column("gap_closed", "gap\nclosed", format=share),
        ],
        records,
        f"95 % intervals, stratified bootstrap over runs and episodes, {RESAMPLES:,} draws",
        ["* not proved: in some episodes the best schedule found takes the optimum's place"]
        if any(map(unproved, records))
        else [],
    )


def _each(words: Iterable[str]) -> str:
    return "/".join(dict.fromkeys(words))
