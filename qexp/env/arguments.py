"""A scenario from keyword arguments, as ``gymnasium.make`` passes them on, checked as those of a run are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from pydantic import ConfigDict, InstanceOf, TypeAdapter, ValidationError

from qexp.backend.fleet import Fleet, load_fleet
from qexp.env.scenario import Scenario
from qexp.errors import InputError
from qexp.scheduler.answer import shown

DEFAULT_FLEET = "qce5"
SHIPPED = sorted(
    file.name.removesuffix(".yaml") for file in (resources.files("qexp.backend") / "data").iterdir()
)
CHECKS = ConfigDict(strict=True, allow_inf_nan=False)


def scenario_of(scenario: Scenario | None, settings: Mapping[str, Any]) -> Scenario:
    """Return the scenario that some settings give.

    Args:
        scenario: What they are changes of; by default the papers' scenario.
        settings: Arguments of `Scenario`, by name; the fleet may be the name of one that ships with qexp, or
            a file.

    Raises:
        InputError: There is no such setting, or it is of the wrong type or out of bounds.
    """
    if not isinstance(scenario, Scenario | None):
        raise InputError(f"scenario={shown(scenario)}: must be a Scenario")
    refuse_unknown(settings, ("scenario", *(field.name for field in fields(Scenario) if field.init)))
    hints = get_type_hints(Scenario, include_extras=True)
    given: dict[str, Any] = {}
    complaints = []
    for name, value in settings.items():
        try:
            given[name] = _fleet(value) if name == "fleet" else _checked(value, hints[name])
        except ValidationError as error:
            reason = error.errors()[0]["msg"].replace("Input should be", "must be")
            complaints.append(f"{name}={shown(value)}: {reason}")
    if complaints:
        raise InputError("; ".join(complaints))
    if scenario is not None:
        return replace(scenario, **given) if given else scenario
    return Scenario(**{"fleet": load_fleet(DEFAULT_FLEET), **given})


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise an `InputError` that names the known arguments if one that is given is none of them."""
    known = list(known)
    if unknown := [name for name in given if name not in known]:
        raise InputError(f"unknown argument {', '.join(unknown)}: choose among {', '.join(known)}")


def _fleet(given: Any) -> Any:
    if not isinstance(given, str | Path):
        return _checked(given, Fleet)
    try:
        return load_fleet(given, "fleet")
    except InputError as error:
        if Path(given).exists():
            raise
        raise InputError(f"{error}; fleets that ship with qexp: {', '.join(SHIPPED)}") from error


def _checked(value: Any, hint: Any) -> Any:
    if isinstance(hint, type) and hint.__module__.startswith("qexp."):
        return TypeAdapter(InstanceOf[hint]).validate_python(value)
    plain = value.item() if isinstance(value, np.generic) else value
    return TypeAdapter(hint, config=CHECKS).validate_python(plain)
