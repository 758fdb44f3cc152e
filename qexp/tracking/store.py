"""Opening an MLflow store, and finding out before any training that it cannot be opened."""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from mlflow import MlflowClient, MlflowException
from mlflow.entities import Run

from qexp.errors import InputError

_SQLITE = "sqlite:///"

# Has MLflow open the experiment with its runs, and not with pages about language models.
_MODEL_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
# What identifies a run and cannot be reported again later.
_IDENTITY_TAGS = ("mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.parentRunId")


def open_store(uri: str) -> tuple[MlflowClient, str | None]:
    """Open a store and see that it answers; an SQLite path is relative to the working directory.

    Returns:
        Its client, and where a new experiment keeps artifacts: in a folder beside an SQLite file, None where
        the store decides.

    Raises:
        InputError: The address is none of a store, or holds a password.
    """
    _refuse_credentials(uri)
    if uri.startswith(_SQLITE):
        database = Path(uri.removeprefix(_SQLITE)).absolute()
        _make_ready(database)
        return MlflowClient(f"{_SQLITE}{database}"), (database.parent / "mlartifacts").as_uri()
    if "://" not in uri or uri.startswith("file:"):
        raise InputError(
            f"tracking.uri={uri} is not a store: give {_SQLITE}FILE, http(s)://SERVER or a database URL"
        )
    client = MlflowClient(uri)
    client.search_experiments(max_results=1)
    return client, None


def create_run(client: MlflowClient, artifacts: str | None, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Create a run, and its experiment if need be.

    Args:
        client: Of the store.
        artifacts: Where a new experiment keeps artifacts, as `open_store` gives it.
        wanted: The run as a journal notes it: its `experiment`, `name` (None lets MLflow invent one), `tags`,
            and when it started (`start`, in milliseconds; None is now).

    Returns:
        The same with the run's `id` and `uri`: enough to create it again in another store.

    Raises:
        InputError: The experiment was deleted.
    """
    name = wanted["experiment"]
    if client.get_experiment_by_name(name) is None:
        with already_there():
            client.create_experiment(name, artifacts, _MODEL_TRAINING)
    known = client.get_experiment_by_name(name)
    if known is None or known.lifecycle_stage != "active":
        raise InputError(
            f"tracking.experiment={name} was deleted: restore it in MLflow or choose another name"
        )
    run = client.create_run(known.experiment_id, wanted["start"], dict(wanted["tags"]), wanted["name"])
    return {**wanted, **_noted(client, run)}


def reopen_run(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """Set a run that ended, or was cut short, to running again; return what `create_run` does.

    Args:
        client: Of the store.
        run_id: The run.

    Raises:
        InputError: The store does not have it, or it was deleted.
    """
    run = find_run(client, run_id)
    if run is None:
        raise InputError(f"tracking.uri={client.tracking_uri} has no run {run_id} to continue")
    client.update_run(run_id, status="RUNNING")
    tags = {key: run.data.tags[key] for key in _IDENTITY_TAGS if key in run.data.tags}
    experiment = client.get_experiment(run.info.experiment_id).name
    return {"experiment": experiment, "tags": tags, **_noted(client, run)}


def _noted(client: MlflowClient, run: Run) -> dict[str, Any]:
    info = run.info
    return {"id": info.run_id, "uri": client.tracking_uri, "name": info.run_name, "start": info.start_time}


def find_run(client: MlflowClient, run_id: str) -> Run | None:
    """Return a run, or None if the store has none of that id.

    Args:
        client: Of the store.
        run_id: The run.

    Raises:
        InputError: It exists but was deleted.
    """
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    if run.info.lifecycle_stage != "active":
        uri = client.tracking_uri
        raise InputError(f"tracking.uri={uri}: run {run_id} was deleted there: restore it in MLflow first")
    return run


@contextmanager
def already_there() -> Iterator[None]:
    """Accept that what is to be created exists: from long ago, or from another run a moment ago."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def as_input_error(uri: str) -> Iterator[None]:
    """Turn whatever keeps a store from being used into one line that names the key."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"tracking.uri={uri} cannot be used: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Say in a line what is wrong with a store."""
    text = " ".join(str(error).split()).partition(" [SQL:")[0] or type(error).__name__
    if "401" in text and "authenticat" in text:
        return (
            "the server asks for a user it knows: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "or MLFLOW_TRACKING_TOKEN"
        )
    if "timeout=" in text or "timed out" in text:
        return "the server does not answer in time"
    if "Max retries exceeded" in text or "Connection aborted" in text:
        why = re.search(r"\[Errno -?\d+\] ([\w ]+)", text)
        return f"no server answers there: {why[1] if why else text[-150:]}"
    return text[:300]


def _refuse_credentials(uri: str) -> None:
    """Refuse a password in an address, without repeating it: configurations are logged."""
    try:
        parts = urlsplit(uri)
        user, password = parts.username, parts.password
    except ValueError as error:
        raise InputError("tracking.uri: not an address") from error
    web = parts.scheme in {"http", "https"}
    if password is not None or (web and user is not None) or "password" in parse_qs(parts.query):
        names = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if web else "PGPASSWORD or ~/.pgpass"
        raise InputError(
            f"tracking.uri: leave user name and password out, configurations are logged; give them in {names}"
        )


def _make_ready(database: Path) -> None:
    """Create an SQLite file unless it exists, and try whether it can be written to."""
    database.parent.mkdir(parents=True, exist_ok=True)
    if not database.exists():
        _create(database)
    # MLflow itself would try again for a minute and a half.
    with closing(
        sqlite3.connect(f"file:{quote(str(database))}?mode=rw", timeout=30.0, uri=True)
    ) as connection:
        connection.execute("BEGIN IMMEDIATE").close()


def _create(database: Path) -> None:
    """Let MLflow create its tables under another name, and put the finished file in place.

    Runs that start at once, or one interrupted here, would otherwise leave each other half a database.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def relax(connection: sqlite3.Connection, _: object) -> None:
        # Wait for the disk once, and not after each of the 400 statements that create the tables.
        connection.execute("PRAGMA synchronous=OFF").close()

    with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=database.parent) as folder:
        fresh = Path(folder) / database.name
        event.listen(Engine, "connect", relax)
        try:
            MlflowClient(f"{_SQLITE}{fresh}")
        finally:
            event.remove(Engine, "connect", relax)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        try:
            database.hardlink_to(fresh)  # unlike a rename, it never replaces the file of whoever was first
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            fresh.rename(database)
