"""Settings from keyword arguments, as ``gymnasium.make`` passes them on, checked as those of a run are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

import numpy as np
from pydantic import ConfigDict, InstanceOf, TypeAdapter, ValidationError

from qexp.errors import InputError
from qexp.problem.checks import refuse_unknown, shown

T = TypeVar("T")
CHECKS = ConfigDict(strict=True, allow_inf_nan=False)


def scenario_of(
    kind: type[T],
    scenario: T | None,
    settings: Mapping[str, Any],
    readers: Mapping[str, Callable[[Any], Any]] = MappingProxyType({}),
) -> T:
    """Return the scenario that some settings give.

    Args:
        kind: Its class, a dataclass.
        scenario: What they are changes of; by default one of the class's own defaults.
        settings: Fields of the class, by name.
        readers: What makes values of what is given, of fields that take more than their type.

    Raises:
        InputError: There is no such setting, or it is of the wrong type or out of bounds.
    """
    if not (scenario is None or isinstance(scenario, kind)):
        raise InputError(f"scenario={shown(scenario)}: must be a {kind.__name__}")
    taken: Any = kind
    refuse_unknown(settings, ("scenario", *(field.name for field in fields(taken) if field.init)))
    hints = get_type_hints(kind, include_extras=True)
    given: dict[str, Any] = {}
    complaints = []
    for name, value in settings.items():
        try:
            given[name] = readers[name](value) if name in readers else checked(value, hints[name])
        except ValidationError as error:
            reason = error.errors()[0]["msg"].replace("Input should be", "must be")
            complaints.append(f"{name}={shown(value)}: {reason}")
    if complaints:
        raise InputError("; ".join(complaints))
    if scenario is None:
        return kind(**given)
    changed: Any = scenario
    return replace(changed, **given) if given else scenario


def checked(value: Any, hint: Any) -> Any:
    """Return a value of a field's type, within its bounds.

    Args:
        value: What is given.
        hint: The type, bounds included.

    Raises:
        ValidationError: It is another one.
    """
    if isinstance(hint, type) and hint.__module__.startswith("qexp."):
        return TypeAdapter(InstanceOf[hint]).validate_python(value)
    plain = value.item() if isinstance(value, np.generic) else value
    return TypeAdapter(hint, config=CHECKS).validate_python(plain)
