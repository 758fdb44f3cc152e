"""MLflow's environment variables: those that say where runs are recorded, and those that qexp sets."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, unquote, urlsplit

from qexp.errors import InputError

URI, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"

_QUIET = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_LEVELS = {
    # It logs every attempt at a server that is away; we say once how they ended.
    "urllib3.connectionpool": logging.ERROR,
    # Where somebody imported MLflow before, it has not read the settings.
    "mlflow": logging.WARNING,
}


def store_in_environment() -> str | None:
    """Return the address of the store that the environment names, or None if it names none.

    Configurations are logged: a password in it is moved to where MLflow's or the database's client finds it.

    Raises:
        InputError: It is no store for runs, or there is nowhere to move its password.
    """
    uri = os.environ.get(URI)
    if not uri:
        return None
    try:
        parts = urlsplit(uri)
        user, password = parts.username, parts.password
    except ValueError as error:
        raise InputError(f"{URI}: not an address; or set tracking.uri") from error
    if "://" not in uri or parts.scheme == "file":
        raise InputError(
            f"{URI}={uri} is not a store that runs are recorded in: give sqlite:///FILE, http(s)://SERVER or "
            "a database URL, or set tracking.uri"
        )
    if "password" in parse_qs(parts.query):
        raise InputError(f"{URI}: leave the password out, or give it as scheme://USER:PASSWORD@HOST")
    web = parts.scheme in {"http", "https"}
    if password is None and not (web and user is not None):
        return uri
    if not web and not parts.scheme.startswith("postgresql"):
        raise InputError(f"{URI}: leave the password out: configurations are logged")
    moved = {USER: user, PASSWORD: password} if web else {"PGPASSWORD": password}
    os.environ.update({name: unquote(value) for name, value in moved.items() if value is not None})
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host if web else f"{user}@{host}").geturl()


@contextmanager
def patience(seconds: int) -> Iterator[None]:
    """Let MLflow try a request twice, for so long each, where it would try for many minutes."""
    settings = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds)}
    ours = {key: value for key, value in settings.items() if key not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for key in ours:
            os.environ.pop(key, None)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's greetings, progress and deprecations off the console, and its usage statistics at home.

    To be entered before MLflow is first imported, which is when it reads most of the settings.
    """
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    levels = {name: logging.getLogger(name).level for name in _LEVELS}
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            # A logger without a level was not MLflow's yet: it has set its own meanwhile.
            if name != "mlflow" or level != logging.NOTSET:
                logging.getLogger(name).setLevel(level)
