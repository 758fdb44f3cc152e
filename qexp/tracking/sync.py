"""``qexp sync RUN_DIR ...`` delivers to MLflow what did not arrive, or everything to another store."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from qexp.errors import InputError, answered
from qexp.tracking.environment import EXPERIMENT, patience, quiet, store_in_environment
from qexp.tracking.journal import Journal, in_words
from qexp.tracking.local import Local


class Delivered(NamedTuple):
    """An MLflow run and its store, what arrived there in words, and whether the run's end is known."""

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
        InputError: The folder is none of a run, the store cannot be used, or it fails halfway.
    """
    journal = Journal.read(folder)
    if not journal.runs:
        raise InputError(f"{folder}: its journal does not say which run it is of")
    if uri is None:
        uri = next((run["uri"] for run in journal.runs if run["uri"] is not None), None)
        if uri is None or (uri.startswith("sqlite:") and uri.endswith(Local.uri.removeprefix("sqlite://"))):
            uri = store_in_environment() or uri
    if uri is None:
        raise InputError(f"{folder}: made with tracking=off; say where to deliver it with --uri URI")
    with quiet():
        from qexp.tracking.mlflow_tracker import deliver
        from qexp.tracking.store import as_input_error, create_run, find_run, open_store

    with quiet(), as_input_error(uri), patience(seconds=120):
        client, artifacts = open_store(uri)
        known = (run["id"] for run in reversed(journal.runs) if run["id"] is not None)
        run_id = next((each for each in known if find_run(client, each) is not None), None)
        if run_id is None:
            first = journal.runs[0]
            own = os.environ.get(EXPERIMENT) if first["experiment"] == Local.experiment else None
            experiment = experiment or own or first["experiment"]
            run = create_run(client, artifacts, {**first, "experiment": experiment})
            journal.add({"run": run})
            run_id = str(run["id"])
        pending = journal.pending(run_id)
        deliver(client, run_id, journal)
    return Delivered(run_id, uri, in_words(pending), any("end" in record for record in journal.contents))


def command(arguments: Sequence[str], prog: str) -> int:
    """Deliver the run folders of a command line.

    Args:
        arguments: The command line, without the program.
        prog: What help calls the program.

    Returns:
        Exit status: 0 all delivered, 2 something could not be delivered.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description="Deliver run folders to MLflow; doing it again changes nothing."
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN_DIR", help="folder of a run")
    parser.add_argument("--uri", help="store to deliver to; by default the run's own tracking.uri")
    parser.add_argument("--experiment", help="experiment of runs the store does not have yet")
    options = parser.parse_args(arguments)
    failed = False
    for folder in options.folders:
        try:
            done = sync(folder, options.uri, options.experiment)
        except InputError as error:
            failed = True
            print(f"qexp: {error}", file=sys.stderr)
            continue
        what = f"delivered {done.what}" if done.what else "nothing to deliver"
        note = "" if done.ended else " (the run has not ended, or was killed)"
        print(f"{folder}: {what}; run {done.run_id} at {done.uri}{note}")
    return 2 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``python -m qexp.tracking sync``; return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    folders = given[1:] if given[:1] == ["sync"] else given
    return answered(partial(command, folders, "python -m qexp.tracking sync"))
