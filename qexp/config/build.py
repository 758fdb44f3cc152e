"""The one place where a config becomes an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from qexp.config.option import GROUPS, NAME, REGISTRY, TARGET, keys, load_options

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
    known = keys(cls)
    values = {
        name: _built(value, part, {}) if name in known and (part := known[name].group) else value
        for name, value in config.items()
        if name not in {NAME, TARGET}
    }
    return cls(**values, **runtime)
