"""Option files as Hydra reads them: where they are, what they say, and those of a user's own.

Those need not say what their classes say already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins import file_config_source, structured_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qexp.config.option import GROUPS, NAME, REGISTRY, TARGET, defaults_list, is_ours
from qexp.config.outside import class_at
from qexp.errors import InputError

EMPTY, WHERE = "qexp_nothing", "options"
Places = tuple[tuple[str, str], ...]
"""Where option files are looked for: providers and URLs, the first first."""

_LOCK = Lock()
_PLACES: ContextVar[Places | None] = ContextVar("_PLACES", default=None)


def conf_dir() -> Path:
    """Return the folder of the YAML files: inside the installed package, or at the top of a checkout."""
    packaged = Path(str(resources.files("qexp"))) / "conf"
    return packaged if packaged.is_dir() else packaged.parents[1] / "conf"


class FileConfigSource(file_config_source.FileConfigSource):
    """Hydra's reader of configuration files, which adds the defaults list that an option's file leaves out.

    So a file may hold nothing but ``_target_: package.module.Class``, or a value or two of a known option:
    the other keys come from the class. Hydra takes it for its own, by its name.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file, see the class."""
        result = super().load_config(config_path)
        group, _, stem = config_path.removesuffix(".yaml").rpartition("/")
        content = result.config
        if group not in GROUPS or not isinstance(content, DictConfig) or {"defaults", NAME} & content.keys():
            return result
        try:
            cls = class_at(content[TARGET], group, TARGET) if TARGET in content else REGISTRY[group].get(stem)
        except InputError:  # said where the option is used
            return result
        if cls is None or (TARGET in content and is_ours(cls)):
            return result
        name = next(name for name, known in REGISTRY[group].items() if known is cls)
        with_defaults = {"defaults": defaults_list(cls, name)} | OmegaConf.to_container(content)  # type: ignore[operator]
        result.config = OmegaConf.create(with_defaults)
        return result


class StructuredConfigSource(structured_config_source.StructuredConfigSource):
    """Hydra's store of classes, which lists no schemas: they are no options that one could choose."""

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return what is in a group."""
        return [name for name in super().list(config_path, results_filter) if not name.endswith("_schema")]


def read_own_files() -> None:
    """Let Hydra read files so, in this process."""
    SourcesRegistry.instance().types |= {"file": FileConfigSource, "structured": StructuredConfigSource}


def forget(group: str, name: str) -> None:
    """Take an option out of Hydra's store: Hydra does not accept a file beside it."""
    node: Any = ConfigStore.instance().repo
    for part in group.split("/"):
        node = node.get(part, {})
    node.pop(f"{name}.yaml", None)


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


def loader(places: Places) -> ConfigLoaderImpl:
    """Return Hydra's loader for files in certain places."""
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
    hydras = loader(places)
    exists = hydras.repository.config_exists
    wanted = [f"+{group}@{WHERE}.{name}={name}" for name in names if exists(f"{group}/{name}")]
    try:
        config = hydras.load_configuration(EMPTY, overrides=wanted, run_mode=RunMode.RUN)
        plain: dict[str, dict[str, Any]] = OmegaConf.to_container(  # type: ignore[assignment]
            config.get(WHERE, OmegaConf.create()), resolve=True
        )
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"{group}: one of {', '.join(names)} cannot be composed: {error}") from error
    return plain
