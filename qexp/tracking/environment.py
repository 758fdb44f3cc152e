"""MLflow's own environment variables: where runs are recorded that are not told otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterable
from urllib.parse import parse_qs, unquote, urlsplit

from omegaconf import DictConfig, OmegaConf

from qexp.errors import InputError
from qexp.tracking.local import Local

URI, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"


def heed_environment(config: DictConfig, typed: Iterable[str]) -> None:
    """Fill in what the environment says of store and experiment, unless the configuration says it itself.

    It does where the key was typed, or where a preset gave it another value than the one that ships.

    Args:
        config: A run's or a multirun's; changed.
        typed: Its overrides.

    Raises:
        InputError: The environment names a store that runs cannot be recorded in.
    """
    tracking = OmegaConf.select(config, "tracking")
    keys = {override.lstrip("+").partition("=")[0] for override in typed}
    if not isinstance(tracking, DictConfig) or "uri" not in [*tracking]:  # nothing is recorded
        return
    unsaid = OmegaConf.is_missing(tracking, "uri") or tracking.uri == Local.uri
    if unsaid and "tracking.uri" not in keys and (uri := store_in_environment()):
        tracking.uri = uri
    if tracking.experiment == Local.experiment and "tracking.experiment" not in keys:
        tracking.experiment = os.environ.get(EXPERIMENT) or tracking.experiment


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
    if parts.scheme in {"http", "https"} and user is not None:
        _set({USER: user, PASSWORD: password})
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if password is None:
        return uri
    if not parts.scheme.startswith("postgresql"):
        raise InputError(f"{URI}: leave the password out: configurations are logged")
    _set({"PGPASSWORD": password})
    return parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()


def _set(variables: dict[str, str | None]) -> None:
    os.environ.update({name: unquote(value) for name, value in variables.items() if value is not None})
