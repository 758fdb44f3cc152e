"""The machines of a run whose source may say something else tomorrow: kept in the run folder."""

from __future__ import annotations

from pathlib import Path

from qexp.fleet.fleet import Fleet, FleetSource, load_fleet

FLEET_FILE = "fleet.yaml"


def fleet_of(source: FleetSource, folder: Path, *, begun: bool) -> Fleet:
    """Return the machines of a run.

    Args:
        source: The backend option.
        folder: Run folder.
        begun: Whether the run that is there is meant: it keeps the machines that it began with.

    Raises:
        InputError: See `FleetSource.load`.
    """
    kept = folder / FLEET_FILE
    return load_fleet(kept, "resume") if begun and kept.is_file() else source.load()


def keep(source: FleetSource, fleet: Fleet, folder: Path) -> None:
    """Write a run's machines to its folder, if their source may say something else tomorrow."""
    if not source.fixed:
        write_fleet(fleet, folder)
    elif Path(getattr(source, "path", "")) != folder / FLEET_FILE:
        (folder / FLEET_FILE).unlink(missing_ok=True)


def write_fleet(fleet: Fleet, folder: Path) -> None:
    """Write machines to a folder, in a fleet file."""
    kept = folder / FLEET_FILE
    from qexp.fleet.build import fleet_text

    facts = {"name": fleet.name, "description": "The machines as this run met them."}
    if fleet.taken is not None:
        facts["taken"] = fleet.taken.isoformat()
    nodes = [node.model_dump(mode="json", exclude_none=True) for node in fleet.nodes]
    kept.write_text(
        fleet_text("Use it again with backend=file backend.path=FILE.", facts, nodes), encoding="utf-8"
    )
