"""The gap report as one page that holds all it shows: it opens from a disk, without network or script."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from qexp.gap.gap import Gap
from qexp.gap.measure.load import ASSUMPTION
from qexp.report.table import Table
from qexp.report.wording import number

CAPTIONS = {
    "gap_decomposition": "What made tasks slower (right) or faster (left) than the simulator said.",
    "gap_tasks": "Every task. On the dashed line, the prediction was right.",
    "gap_machines": "By which factor each machine was off. At 1, predictions are right in the median.",
    "gap_schedulers": "Every scheduler. Those that did not run are replayed in the simulator.",
    "gap_calibration": "The second half, predicted without and with what the first half teaches.",
}


def page(gap: Gap, tables: Sequence[Table], plots: Sequence[Path]) -> str:
    """Return the page.

    Args:
        gap: The report.
        tables: Its tables.
        plots: Its pictures, PNG.
    """
    template = Template((resources.files("qexp.gap.show") / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        lead=escape(_lead(gap)),
        campaign="\n".join(
            f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>"
            for key, value in gap.campaign.items()
        ),
        notes="\n".join(f"<li>{escape(note)}</li>" for note in [*gap.notes, ASSUMPTION]),
        plots="\n".join(_figure(path) for path in plots),
        tables="".join(table.html() for table in tables),
    )


def _lead(gap: Gap) -> str:
    if not gap.counted:
        if any(row.left_out == "no times" for row in gap.tasks):
            return f"Of none of {len(gap.tasks)} tasks times are known: there is nothing to compare."
        return f"None of {len(gap.tasks)} tasks was completed: there is nothing to compare."
    measured, simulated = gap.total("measured"), gap.total("simulated")
    said = (
        f"{gap.counted} of {len(gap.tasks)} tasks completed in {number(measured)} s of total completion "
        f"time; the simulator, with the same placements, said {number(simulated)} s."
    )
    held = gap.hold_out
    before, after = held.total_before.error_pct, held.total_after.error_pct
    if before is None or after is None:
        return said
    return (
        f"{said} Of the second half it was {number(before, '+')} % off, and {number(after, '+')} % once "
        "calibrated on the first."
    )


def _figure(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    caption = escape(CAPTIONS[path.stem])
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
