"""What a sweep prints of its jobs."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from qexp.report.sweeps import Job, Sweep
from qexp.report.tables import jobs_table


def test_lists_are_shown_as_they_were_typed():
    jobs = [Job(Path("a"), {"deploy.schedulers": "[mct,met]"}, "FAILED")]
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(jobs_table(Sweep(Path("s"), ["deploy.schedulers"], jobs, [])))
    assert "[mct,met]" in console.export_text()
