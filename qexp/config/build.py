"""The one place where a config becomes an object."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from numbers import Integral, Real
from os import PathLike, fspath
from typing import Any, TypeVar

from qexp.config.option import GROUPS, NAME, REGISTRY, TARGET, keys, load_options, named, path_of
from qexp.errors import InputError

T = TypeVar("T")


def make(config: Mapping[str, Any], base: type[T], **runtime: Any) -> T:
    """Build an option.

    Args:
        config: The option's node of a resolved configuration, see `qexp.config.schema.validate`.
        base: Class the result must be an instance of; it or a class above it stands for a config group.
        **runtime: Constructor arguments that come from code.

    Raises:
        InputError: The option refuses its values.
        TypeError: The config builds something else than ``base``.
    """
    load_options()
    group = next(name for name, root in GROUPS.items() if issubclass(base, root))
    made = _built(config, group, runtime)
    if not isinstance(made, base):
        raise TypeError(f"{group}={config[NAME]} is a {type(made).__name__}, not a {base.__name__}")
    return made


def _built(config: Mapping[str, Any], group: str, runtime: Mapping[str, Any]) -> Any:
    cls: Any = REGISTRY[group][config[NAME]]
    parts = {name: key.group for name, key in keys(cls).items()}
    values = {
        name: _built(value, sub, {}) if (sub := parts.get(name)) else value
        for name, value in config.items()
        if name not in {NAME, TARGET}
    }
    return cls(**values, **runtime)


def config_of(option: Any, group: str) -> dict[str, Any]:
    """Return the resolved configuration that builds an option again: the opposite of `make`.

    Args:
        option: A dataclass of the group.
        group: Its config group.

    Raises:
        InputError: It is no dataclass, or has a value that no configuration can have.
    """
    kind: type = type(option)
    if not dataclasses.is_dataclass(kind):
        raise InputError(f"{group}: {path_of(kind)}: options are dataclasses: put @dataclass above the class")
    values = {}
    for name, key in keys(kind).items():
        value = getattr(option, name)
        values[name] = config_of(value, key.group) if key.group else plain(value, f"{group}.{name}")
    return named(kind, group) | values


def plain(value: Any, key: str) -> Any:
    """Return a value as a configuration holds it: NumPy's numbers as Python's, paths as text.

    Args:
        value: Of a key of an option.
        key: The key, for messages.

    Raises:
        InputError: It cannot be written down, as a function or an array cannot.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Mapping):
        return {str(name): plain(one, f"{key}.{name}") for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one, key) for one in value]
    raise InputError(
        f"{key}: {type(value).__name__} is no value of a configuration: "
        "numbers, text, lists and mappings of them are"
    )
