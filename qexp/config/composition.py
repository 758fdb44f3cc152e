"""Composing configurations with Hydra's loader, outside its command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from qexp.config.files import conf_dir
from qexp.config.own_files import read_own_files
from qexp.errors import InputError

EMPTY, WHERE = "qexp_nothing", "options"
Places = tuple[tuple[str, str], ...]
"""Where option files are looked for: providers and URLs, the first first."""

_LOCK = Lock()
_PLACES: ContextVar[Places | None] = ContextVar("_PLACES", default=None)


def compose(overrides: Sequence[str], config_dir: str | Path | None) -> tuple[Places, DictConfig, str | None]:
    """Compose the configuration of one run, in any thread: no state of Hydra's is touched.

    Args:
        overrides: As on the command line.
        config_dir: Folder of option files of one's own.

    Returns:
        Where option files were looked for, the configuration without Hydra's section, and ``hydra.run.dir``
        if that was given.

    Raises:
        InputError: It cannot be composed, or means several runs.
    """
    from qexp.config.messages import explain
    from qexp.config.schema import register

    if config_dir is not None and not Path(config_dir).is_dir():
        raise InputError(f"config_dir={config_dir}: there is no such folder")
    own = [Path(config_dir).absolute()] if config_dir is not None else []
    register(own)
    setup_globals()
    places: Places = (
        *(("command-line", f"file://{folder}") for folder in own),
        ("main", f"file://{conf_dir()}"),
    )
    try:
        config = _loader(places).load_configuration("config", list(overrides), RunMode.RUN)
        hydra = config.hydra
        if str(hydra.mode).endswith("MULTIRUN"):
            raise InputError("these are several runs: run them as qexp -m ..., or one by one")
        typed = next((part for part in hydra.overrides.hydra if part.startswith("hydra.run.dir=")), None)
        sources = [
            (source.provider, f"{source.schema}://{source.path}") for source in hydra.runtime.config_sources
        ]
        with open_dict(config):
            config.pop("hydra")
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from error
    return tuple(sources), config, typed and typed.partition("=")[2]


@contextmanager
def files_of(places: Places) -> Iterator[None]:
    """Have option files looked for in certain places, in this thread and context."""
    token = _PLACES.set(places)
    try:
        yield
    finally:
        _PLACES.reset(token)


def values_of_files(group: str, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what the files of options say, for those that have one.

    The files are those of the running command, or of `files_of`; elsewhere only classes have values.

    Args:
        group: Config group.
        names: Options.

    Raises:
        InputError: A file cannot be composed.
    """
    places = _PLACES.get()
    if places is None:
        if not HydraConfig.initialized():
            return {}
        sources = HydraConfig.get().runtime.config_sources
        places = tuple((str(source.provider), f"{source.schema}://{source.path}") for source in sources)
    found = _composed(places, group, tuple(sorted(set(names))))
    return {name: dict(values) for name, values in found.items()}


def _loader(places: Places) -> ConfigLoaderImpl:
    with _LOCK:  # Hydra's list of plugins is filled on first use
        Plugins.instance()
    read_own_files()
    search_path = ConfigSearchPathImpl()
    search_path.append("hydra", "pkg://hydra.conf")
    for provider, path in places:
        if provider not in {"hydra", "schema"}:
            search_path.append(provider, path)
    search_path.append("schema", "structured://")
    return ConfigLoaderImpl(search_path)


@lru_cache(maxsize=32)
def _composed(places: Places, group: str, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    ConfigStore.instance().store(name=EMPTY, node={})
    loader = _loader(places)
    exists = loader.repository.config_exists
    wanted = [f"+{group}@{WHERE}.{name}={name}" for name in names if exists(f"{group}/{name}")]
    try:
        config = loader.load_configuration(EMPTY, overrides=wanted, run_mode=RunMode.RUN)
        plain: dict[str, dict[str, Any]] = OmegaConf.to_container(  # type: ignore[assignment]
            config.get(WHERE, OmegaConf.create()), resolve=True
        )
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"{group}: one of {', '.join(names)} cannot be composed: {error}") from error
    return plain
