"""The gap report of a campaign as files: tables, calibration, plots and a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

from qexp.config.plots import plot_format
from qexp.deploy.campaign.journal import Journal
from qexp.gap.calibrate.calibration import Calibration
from qexp.gap.gap import Gap, measure
from qexp.gap.measure.decomposition import Decomposition
from qexp.gap.measure.fidelity import fidelities
from qexp.gap.measure.machines import MachineGap
from qexp.gap.measure.records import Fidelity, Record
from qexp.gap.measure.schedulers import SchedulerGap
from qexp.gap.measure.shadows import Shadow
from qexp.placement.scenario import Scenario
from qexp.placement.schedulers.placer import Placer
from qexp.runfolder import RunFolder

GAP_FILE, CALIBRATION_FILE, PAGE_FILE = "gap.json", "calibration.json", "report.html"
TABLES = {
    "gap_tasks.csv": ("tasks", Record),
    "gap_segments.csv": ("segments", Decomposition),
    "gap_machines.csv": ("machines", MachineGap),
    "gap_schedulers.csv": ("schedulers", SchedulerGap),
    "gap_shadows.csv": ("shadows", Shadow),
}
PLOTS = "plots"


def gap_report(
    journal: Journal,
    scenario: Scenario,
    schedulers: Mapping[str, Placer],
    folder: Path,
    *,
    fidelity: Fidelity = fidelities,
    plots: bool | str = True,
) -> Gap:
    """Work out a campaign's gap and write it, see `write`.

    Args:
        journal: See `measure`.
        scenario: See `measure`.
        schedulers: See `measure`.
        folder: The run folder.
        fidelity: Of measured counts; by default from the catalogue's circuits.
        plots: Whether to draw, or the format to draw in.

    Raises:
        InputError: See `measure`.
    """
    gap = measure(journal, scenario, schedulers, fidelity)
    write(gap, folder, plots=plots)
    return gap


def write(gap: Gap, folder: Path, *, plots: bool | str = True) -> list[Path]:
    """Write tables, calibration, plots, the page and, last, gap.json; return the paths.

    Args:
        gap: The report.
        folder: The run folder.
        plots: Whether to draw, or the format to draw in.
    """
    import pandas as pd

    from qexp.gap.show.page import page
    from qexp.gap.show.tables import tables

    for name, (rows, kind) in TABLES.items():
        # Named, the columns are there even where there are no rows.
        columns = [field.name for field in fields(kind)]
        pd.DataFrame(getattr(gap, rows), columns=columns).to_csv(folder / name, index=False)
    calibration = write_calibration(gap.calibration, folder)
    drawn: list[Path] = []
    wanted = plot_format(plots)
    if wanted is not None:
        from qexp.gap.show.plots import draw

        drawn = draw(gap, folder / PLOTS, wanted)
    with TemporaryDirectory() as beside:
        # A page shows PNG, whatever the files are.
        shown = drawn if wanted in {None, "png"} else draw(gap, Path(beside), "png")
        (folder / PAGE_FILE).write_text(page(gap, tables(gap), shown), encoding="utf-8")
    report = RunFolder(folder).write_json(GAP_FILE, gap.to_json())
    return [*(folder / name for name in TABLES), calibration, *drawn, folder / PAGE_FILE, report]


def write_calibration(calibration: Calibration, folder: Path) -> Path:
    """Write calibration.json.

    Args:
        calibration: What was fitted.
        folder: Where to, see `RunFolder`.
    """
    return RunFolder(folder).write_json(CALIBRATION_FILE, calibration.to_json())
