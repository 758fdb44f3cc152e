"""Composing configurations with Hydra: its schemas of the options, and the files it reads.

Files of a user's own need not say what their classes say already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field
from functools import lru_cache, partial, reduce
from importlib import resources
from operator import or_
from pathlib import Path
from threading import Lock
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins import file_config_source, structured_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from qexp.config.messages import explain
from qexp.config.option import (
    GROUPS,
    NAME,
    REGISTRY,
    TARGET,
    defaults_list,
    is_ours,
    keys,
    load_options,
    name_of,
    named,
)
from qexp.config.outside import class_at, register_named_in
from qexp.config.root import Config
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
        if cls is not None and not (TARGET in content and is_ours(cls)):
            defaults = {"defaults": defaults_list(cls, name_of(cls, group))}
            result.config = OmegaConf.create(defaults | OmegaConf.to_container(content))  # type: ignore[operator]
        return result


class StructuredConfigSource(structured_config_source.StructuredConfigSource):
    """Hydra's store of classes, which lists no schemas: they are no options that one could choose."""

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return what is in a group, see `ConfigSource.list`."""
        return [name for name in super().list(config_path, results_filter) if not name.endswith("_schema")]


def register(folders: Iterable[Path] = ()) -> None:
    """Store every option's schema with Hydra, as ``<group>/<option>_schema``.

    Options that do not ship with qexp may have no file: they are stored as ``<group>/<option>`` too. The
    classes of a user's own option files, in those folders, are registered first.
    """
    load_options()
    _read_files_so()
    files = register_named_in(folders)
    store = ConfigStore.instance()
    roots = [(name, Any, field(default=MISSING)) for name in sorted(GROUPS) if "/" not in name]
    root = dataclasses.make_dataclass("ConfigKeys", roots, bases=(_schema(Config),))
    store.store(name="config_schema", node=root)
    for group, options in REGISTRY.items():
        for name, cls in options.items():
            store.store(
                group=group, name=f"{name}_schema", node=_schema(cls, named(cls, group) | {NAME: name})
            )
            if (group, name) in files:
                # Hydra does not accept a file beside an option in its store.
                reduce(lambda node, part: node.get(part, {}), group.split("/"), store.repo).pop(
                    f"{name}.yaml", None
                )
            elif not is_ours(cls):
                store.store(group=group, name=name, node={"defaults": defaults_list(cls, name)})


def _read_files_so() -> None:
    SourcesRegistry.instance().types |= {"file": FileConfigSource, "structured": StructuredConfigSource}


def _schema(cls: type, identity: Mapping[str, str] | None = None) -> type:
    """Return the dataclass that Hydra merges an option's or a section's values into."""
    fields: list[Any] = [(key, str, field(default=value)) for key, value in (identity or {}).items()]
    for name, key in keys(cls).items():
        if key.section:
            section = _schema(key.section)
            fields.append((name, section, field(default_factory=section)))
            continue
        if key.group or key.required:
            default = field(default=MISSING)
        elif key.follows is not None:
            default = field(default=key.follows)
        else:
            default = field(default_factory=partial(getattr, key, "default"))
        fields.append((name, _known_type(key.hint), default))
    return dataclasses.make_dataclass(f"{cls.__name__}Keys", fields)


def _known_type(hint: Any) -> Any:
    """Return a type OmegaConf knows: bounds stripped, what it has no type for as Any."""
    if get_origin(hint) is Annotated:
        return _known_type(hint.__origin__)
    if get_origin(hint) is Literal:
        kinds = {type(value) for value in get_args(hint)}
        return kinds.pop() if len(kinds) == 1 else Any
    if get_origin(hint) in {Union, UnionType}:
        parts = [_known_type(part) for part in get_args(hint) if part is not NoneType]
        # OmegaConf's unions are of these alone.
        simple = all(part in {int, float, bool, str, bytes} for part in parts)
        one: Any = reduce(or_, parts) if len(parts) == 1 or simple else Any
        return one if one is Any or NoneType not in get_args(hint) else one | None
    known = get_origin(hint) in {list, dict} or hint in {int, float, bool, str, list, dict}
    return hint if known else Any


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
    if config_dir is not None and not Path(config_dir).is_dir():
        raise InputError(f"config_dir={config_dir}: there is no such folder")
    own = [Path(config_dir).absolute()] if config_dir is not None else []
    register(own)
    setup_globals()
    places = (*(("command-line", f"file://{folder}") for folder in own), ("main", f"file://{conf_dir()}"))
    try:
        config = _loader(places).load_configuration("config", list(overrides), RunMode.RUN)
        hydra = config.hydra
        if str(hydra.mode).endswith("MULTIRUN"):
            raise InputError("these are several runs: run them as qexp -m ..., or one by one")
        typed = next((part for part in hydra.overrides.hydra if part.startswith("hydra.run.dir=")), None)
        sources = _places(hydra)
        with open_dict(config):
            config.pop("hydra")
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from error
    return sources, config, typed and typed.partition("=")[2]


def _places(hydra: Any) -> Places:
    return tuple((each.provider, f"{each.schema}://{each.path}") for each in hydra.runtime.config_sources)


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
    if places is None and not HydraConfig.initialized():
        return {}
    values = _composed(places or _places(HydraConfig.get()), group, tuple(sorted(set(names))))
    return {name: dict(its) for name, its in values.items()}


def _loader(places: Places) -> ConfigLoaderImpl:
    """Return Hydra's loader for files in certain places."""
    with _LOCK:  # Hydra's list of plugins is filled on first use
        Plugins.instance()
    _read_files_so()
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
        plain: Any = OmegaConf.to_container(config.get(WHERE, OmegaConf.create()), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"{group}: one of {', '.join(names)} cannot be composed: {error}") from error
    values: dict[str, dict[str, Any]] = plain
    return values
