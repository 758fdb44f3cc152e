"""The gap report's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from qexp.deploy.gap.calibration import Calibration
from qexp.deploy.gap.decomposition import Decomposition
from qexp.deploy.gap.gap import CALIBRATION_FILE, GAP_FILE, PAGE_FILE, Gap
from qexp.deploy.gap.machines import MachineGap
from qexp.deploy.gap.records import Record
from qexp.deploy.gap.schedulers import SchedulerGap
from qexp.deploy.gap.shadows import Shadow
from qexp.runfolder import RunFolder

TABLES = {
    "gap_tasks.csv": ("tasks", Record),
    "gap_segments.csv": ("segments", Decomposition),
    "gap_machines.csv": ("machines", MachineGap),
    "gap_schedulers.csv": ("schedulers", SchedulerGap),
    "gap_shadows.csv": ("shadows", Shadow),
}
PLOTS = "plots"


def write(gap: Gap, folder: Path, *, plots: bool = True) -> list[Path]:
    """Write tables, calibration, plots, the page and, last, gap.json.

    Args:
        gap: The report.
        folder: The run folder.
        plots: Whether to draw.

    Returns:
        What was written.
    """
    from qexp.deploy.gap.page import page
    from qexp.deploy.gap.sheets import sheets

    for name, (rows, kind) in TABLES.items():
        _table(getattr(gap, rows), kind, folder / name)
    calibration = write_calibration(gap.calibration, folder)
    drawn: list[Path] = []
    if plots:
        from qexp.deploy.gap.plots import draw

        drawn = draw(gap, folder / PLOTS)
    (folder / PAGE_FILE).write_text(page(gap, sheets(gap), drawn), encoding="utf-8")
    report = RunFolder(folder).write_json(GAP_FILE, gap.to_json())
    return [*(folder / name for name in TABLES), calibration, *drawn, folder / PAGE_FILE, report]


def write_calibration(calibration: Calibration, folder: Path) -> Path:
    """Write calibration.json."""
    return RunFolder(folder).write_json(CALIBRATION_FILE, calibration.to_json())


def _table(rows: Sequence[Any], kind: type, path: Path) -> None:
    import pandas as pd

    # Named, the columns are there even where there are no rows.
    columns = [field.name for field in fields(kind)]
    pd.DataFrame([asdict(row) for row in rows], columns=columns).to_csv(path, index=False)
