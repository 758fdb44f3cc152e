"""Delivers run folders to MLflow after the fact: what did not arrive, or everything to another store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qexp.errors import InputError
from qexp.tracking.environment import EXPERIMENT, store_in_environment
from qexp.tracking.journal import Journal, in_words
from qexp.tracking.local import Local
from qexp.tracking.quiet import quiet

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Delivered:
    """What one call of `sync` did.

    Attributes:
        run_id: The MLflow run.
        uri: Its store.
        what: What arrived, in words; empty if nothing was missing.
        ended: Whether the run's end is known: a run that was killed has none, and stays as it is.
    """

    run_id: str
    uri: str
    what: str
    ended: bool


def sync(folder: Path, uri: str | None = None, experiment: str | None = None) -> Delivered:
    """Deliver a run folder.

    It goes into the run that the folder was recorded in, if the store has it, and otherwise into a new one,
    which the folder's journal remembers: the same call again finds nothing to do.

    Args:
        folder: A run folder.
        uri: Store; by default the one the run was to be recorded in, or, of a run without tracking or in the
            file that ships as default, the one that MLFLOW_TRACKING_URI names.
        experiment: Experiment of a new run; by default the run's own, or, if that is the default,
            MLFLOW_EXPERIMENT_NAME.

    Raises:
        InputError: If the folder is none of a run, the store cannot be used, or it fails halfway.
    """
    journal = Journal.read(folder)
    if not journal.runs:
        raise InputError(f"{folder}: its journal does not say which run it is of")
    uri = uri or _store(next((run["uri"] for run in journal.runs if run["uri"] is not None), None))
    if uri is None:
        raise InputError(f"{folder}: made with tracking=off; say where to deliver it with --uri URI")
    with quiet():
        from qexp.tracking.delivery import deliver
        from qexp.tracking.store import as_input_error, open_store, patience

    with quiet(), as_input_error(uri), patience(seconds=120):
        client, artifacts = open_store(uri)
        run = _find(client, uri, journal) or _create(client, artifacts, journal, experiment)
        run_id = run["id"]
        pending = journal.pending(run_id)
        arrived = len(journal.contents) - len(pending)
        for count in deliver(client, run_id, pending, folder):
            arrived += count
            journal.add({"delivered": arrived, "to": run_id})
    return Delivered(run_id, uri, in_words(pending), any("end" in record for record in journal.contents))


def _store(own: str | None) -> str | None:
    """Return where a run is delivered to without being told."""
    default = Local.uri.removeprefix("sqlite:///")
    if own is None or (own.startswith("sqlite:") and own.endswith(f"/{default}")):
        return store_in_environment() or own
    return own


def _experiment(own: str) -> str:
    named = os.environ.get(EXPERIMENT)
    return named if named and own == Local.experiment else own


def _find(client: MlflowClient, uri: str, journal: Journal) -> dict[str, Any] | None:
    """Return the latest of the journal's runs that the store has."""
    from qexp.tracking.store import find_run

    known = (run for run in reversed(journal.runs) if run["id"] is not None)
    return next((run for run in known if find_run(client, uri, run["id"]) is not None), None)


def _create(
    client: MlflowClient, artifacts: str | None, journal: Journal, experiment: str | None
) -> dict[str, Any]:
    """Create the run as it would have been created when it started, and remember it."""
    from qexp.tracking.store import create_run

    first = journal.runs[0]
    run = create_run(
        client,
        artifacts,
        experiment or _experiment(first["experiment"]),
        first["name"],
        first["tags"],
        first["start"],
    )
    journal.add({"run": run})
    return run
