"""Opening an MLflow store, and finding out before any training that it cannot be opened."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from mlflow import MlflowClient, MlflowException

from qexp.errors import InputError

_SQLITE = "sqlite:///"
# A server that does not answer is found out in seconds; MLflow would go on trying for minutes.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


def open_store(uri: str) -> tuple[MlflowClient, str | None]:
    """Open a store and see that it answers.

    Args:
        uri: Address; an SQLite path is relative to the working directory.

    Returns:
        Its client, and where a new experiment keeps artifacts: in a folder beside an SQLite file, None where
        the store decides.

    Raises:
        InputError: If the address is none of a store.
    """
    if uri.startswith(_SQLITE):
        database = Path(uri.removeprefix(_SQLITE)).absolute()
        _make_ready(database)
        return MlflowClient(f"{_SQLITE}{database}"), (database.parent / "mlartifacts").as_uri()
    if "://" not in uri or uri.startswith("file:"):
        raise InputError(
            f"tracking.uri={uri} is not a store: give {_SQLITE}FILE, http(s)://SERVER or a database URL"
        )
    with _environment(_IMPATIENT):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client, None


def experiment_id(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """Return the id of the experiment of that name, created if need be.

    Raises:
        InputError: If it exists but was deleted.
    """
    if client.get_experiment_by_name(name) is None:
        with already_there():
            client.create_experiment(name, artifacts)
    found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise InputError(
            f"tracking.experiment={name} was deleted: restore it in MLflow or choose another name"
        )
    return found.experiment_id


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
    """Turn whatever keeps a store from being opened into one line that names the key."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"tracking.uri={uri} cannot be used: {reason[:300]}") from error


def _make_ready(database: Path) -> None:
    """Create an SQLite file unless it exists, and try whether it can be written to."""
    database.parent.mkdir(parents=True, exist_ok=True)
    if not database.exists():
        _create(database)
    # MLflow itself would try again for a minute and a half.
    connection = sqlite3.connect(f"file:{quote(str(database))}?mode=rw", timeout=30.0, uri=True)
    try:
        connection.execute("BEGIN IMMEDIATE").close()
    finally:
        connection.close()


def _create(database: Path) -> None:
    """Let MLflow create its tables under another name, and put the finished file in place.

    Runs that start at once, or one interrupted here, would otherwise leave each other half a database.
    """
    with tempfile.TemporaryDirectory(prefix=".mlflow-", dir=database.parent) as folder:
        fresh = Path(folder) / database.name
        with _unhurried_disk():
            MlflowClient(f"{_SQLITE}{fresh}")
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        try:
            database.hardlink_to(fresh)  # unlike a rename, it never replaces the file of whoever was first
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            fresh.rename(database)


@contextmanager
def _unhurried_disk() -> Iterator[None]:
    """Wait for the disk once, and not after each of the 400 statements that create the tables."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def relax(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous=OFF").close()

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while, except those that the user has set."""
    ours = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for key in ours:
            os.environ.pop(key, None)
