"""Campaigns under fire, in numbers and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.report import machine
from qexp.report.table import STRONG, Column, Row, Table

WRONG = ("twice", "lost", "unseen", "charges", "stuck", "let_in")
"""What must not be."""

BESIDE = """\
Beside these, one machine of three was in maintenance throughout each faulty campaign, and of its jobs 3 %
each were cancelled by others, failed, or left a result that cannot be read: that is how tasks end failed or
cancelled."""
MEANING = """\
What is wrong is read from the service's own books, task by task. *Accepted twice*: while an earlier job of
the same task was not over or had ended with a result, whatever the tags. *Lost*: not over in the end, or with
another end than its job. *Stuck*: not over after two minutes without a kill."""


@dataclass
class Tally:
    """What was done, and what came of it."""

    campaigns: int = 0
    tasks: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    unclear: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    twice: int = 0
    lost: int = 0
    unseen: int = 0
    charges: int = 0
    stuck: int = 0
    stopped: int = 0
    seconds: int = 0
    let_in: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        """All of them."""
        return self.killed.total()

    @property
    def wrong(self) -> int:
        """How much there is that must not be."""
        return sum(getattr(self, name) for name in WRONG)


def page(killed: Tally, faulty: Tally, moments: Sequence[str], lag: float, settle: float) -> str:
    """Return the tables as Markdown.

    Args:
        killed: Of the campaigns that were killed.
        faulty: Of those that met faults.
        moments: When processes were killed, as the tally calls it.
        lag: Until a job is listed, seconds.
        settle: ``deploy.settle`` of the campaigns, seconds.
    """
    counts = [
        *(("campaigns", "campaigns"), ("tasks", "tasks"), ("kills (SIGKILL)", "kills")),
        ("orders accepted by the service", "accepted"),
        ("orders accepted twice", "twice"),
        ("tasks lost", "lost"),
        ("jobs that the journal never heard of", "unseen"),
        ("tasks with other quantum seconds than charged", "charges"),
        ("campaigns stuck", "stuck"),
        ("second processes on a campaign under way", "seconds"),
        ("of these, let in", "let_in"),
    ]
    rows = [
        {"what": title, "killed": getattr(killed, key), "faulty": getattr(faulty, key), "wrong": key in WRONG}
        for title, key in counts
    ]
    rows.append({"what": "faults", "killed": killed.struck.total(), "faulty": faulty.struck.total()})
    rows += [
        {"what": f"tasks that ended {state}", "killed": killed.ends[state], "faulty": faulty.ends[state]}
        for state in sorted({*killed.ends, *faulty.ends})
    ]
    lines = ["# Campaigns under fire", "", "Made by `python -m benchmarks.faults`.", ""]
    lines += [f"- {fact}" for fact in machine()]
    titles = {"what": "", "killed": "killed and resumed", "faulty": "faults injected"}
    lines += ["", _table(titles, rows)]
    titles = {"what": "killed when", "kills": "kills"}
    titles["unclear"] = "of these, with an order of unclear fate in the journal"
    struck = [
        {"what": when, "kills": killed.killed[when], "unclear": killed.unclear[when]} for when in moments
    ]
    lines += [_table(titles, struck)]
    faults = [{"what": name, "times": times} for name, times in faulty.struck.items()]
    lines += [_table({"what": "fault", "times": "injected"}, faults)]
    lines += [
        f"A job was listed {lag:g} s after it was accepted; `deploy.settle` was {settle:g} s.",
        BESIDE,
        "",
        MEANING,
        "",
    ]
    for title, tally in (("killed", killed), ("faulty", faulty)):
        lines += [f"- {title}: {finding}" for finding in tally.findings]
    return "\n".join(lines).rstrip() + "\n"


def _table(titles: Mapping[str, str], rows: Sequence[Row]) -> str:
    columns = [Column(key, title, words=key == "what") for key, title in titles.items()]
    return Table("", columns, rows, style=lambda row: STRONG if row.get("wrong") else "").markdown()
