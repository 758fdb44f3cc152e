"""The registry of config options: one dataclass per option, registered where it is defined.

An option's class *is* its schema. Its fields, their types and their bounds (``Annotated[int, Field(ge=1)]``)
are what a YAML file of the same name may set; `qexp.schema` turns the registry into Hydra schemas.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=type)

REGISTRY: dict[str, dict[str, type]] = {}
"""Option classes by config group (``env/arrivals``) and option name (``poisson``)."""

RUNTIME = {"runtime": True}
"""Field metadata for a constructor argument that code passes in and no YAML file may set."""


def option_name(class_name: str) -> str:
    """Return the option name of a class name: ``RoundRobin`` is ``round_robin``, ``MQT50`` is ``mqt50``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower()


def settable(cls: type) -> list[dataclasses.Field[Any]]:
    """Return the fields of an option that a YAML file or the command line may set."""
    return [field for field in dataclasses.fields(cls) if field.init and not field.metadata.get("runtime")]


def option(group: str, name: str | None = None) -> Callable[[T], T]:
    """Register a dataclass as an option of a config group.

    Args:
        group: Config group as written on the command line, for example ``env/arrivals``.
        name: Option name; by default the class name in snake case.
    """

    def register(cls: T) -> T:
        REGISTRY.setdefault(group, {})[name or option_name(cls.__name__)] = cls
        return cls

    return register
