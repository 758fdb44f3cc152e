"""The identity of a configuration, wherever its classes live: names of options, values, a hash of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from qexp.config.option import NAME, REGISTRY, TARGET, Chosen, option_name

NO_RESULT = ("tracking", "ray", "sweep", "resume")
"""Root keys that say where and under what name a run happens, and change nothing of what it finds."""

LIMITS = ("confirm", "max_jobs", "max_quantum_seconds", "patience")
"""Keys of a campaign that say how far it may go, and may be changed when it is resumed."""

FORMER_NAMES = {
    "FleetFile": "file",  # or the fleet that its path names
    "NoFleet": "none",
    "LiveFleet": "ibm",
    "QSimPy": "qsimpy",
    "Scenario": "placement",
    "PolicyScheduler": "policy",
    "CPSAT": "cp_sat",
    "NoTraining": "none",
    "A2C": "a2c",
    "NoDeployment": "none",
}
"""Options that are not called as their classes; version 0.1 called options by the paths of their classes."""


def with_names(config: Any) -> Any:
    """Return a plain configuration in which options of qexp go by their names, whatever version wrote it."""
    if isinstance(config, list):
        return [with_names(value) for value in config]
    if not isinstance(config, Mapping):
        return config
    node = {str(key): with_names(value) for key, value in config.items()}
    package, _, cls = str(node.get(TARGET)).rpartition(".")
    if NAME in node or not package.startswith("qexp."):
        return node
    name = FORMER_NAMES.get(cls, option_name(cls))
    if name == "file" and node.get("path") in REGISTRY["backend"]:
        name = node["path"]
    return {NAME: name} | {key: value for key, value in node.items() if key != TARGET}


def names_with_values(base: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flat configuration, by dotted key, in which options go by their names, see `with_names`."""
    named = dict(base)
    for key in base:
        prefix = key.removesuffix(TARGET)
        node = with_names({TARGET: base[key], "path": base.get(f"{prefix}path")}) if prefix != key else {}
        if NAME in node:
            del named[key]
            named[f"{prefix}{NAME}"] = node[NAME]
    return named


def is_former(config_file: Path) -> bool:
    """Tell whether a run's config.yaml is of version 0.1.0, which knew options by the paths of classes."""
    try:
        written = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False
    return isinstance(written, dict) and NAME not in (written.get("env") or {})


def option_of(resolved: Mapping[str, Any], group: str) -> str:
    """Return the name of the option chosen for a group.

    Args:
        resolved: A resolved config.
        group: Name of a config group.
    """
    name = Chosen(resolved).name(group)
    if name is None:
        raise KeyError(group)
    return name


def options_chosen(resolved: Mapping[str, Any]) -> dict[str, str]:
    """Return the option of each config group that the configuration has: environments differ in theirs."""
    names = ((group, Chosen(resolved).name(group)) for group in REGISTRY)
    return {group: name for group, name in names if name is not None}


def config_hash(resolved: Mapping[str, Any]) -> str:
    """Return the hash that identifies a resolved configuration.

    It is of names and values: `NO_RESULT` and `LIMITS` are left out, where classes are, and how plots are
    written.
    """
    relevant = {key: value for key, value in resolved.items() if key not in NO_RESULT}
    if "plots" in relevant:
        relevant["plots"] = bool(relevant["plots"])
    relevant["deploy"] = {
        key: value for key, value in resolved.get("deploy", {}).items() if key not in LIMITS
    }
    text = json.dumps(_without_places(relevant), sort_keys=True)
    return "sha256:" + sha256(text.encode()).hexdigest()


def _without_places(node: Any, *, named: bool = False) -> Any:
    """Leave out the paths of classes that have names: of nodes with `NAME`, and of entries of lists."""
    if isinstance(node, list):
        # An entry of a list of options has its name as its only key.
        return [_without_places(item, named=isinstance(item, Mapping) and len(item) == 1) for item in node]
    if not isinstance(node, Mapping):
        return node
    if named:
        ((name, settings),) = node.items()
        if not isinstance(settings, Mapping):
            return {name: settings}
        rest = {key: value for key, value in settings.items() if key != TARGET}
        return {name: _without_places(rest)} if rest else name
    drop = NAME in node
    return {k: _without_places(v) for k, v in node.items() if not (drop and k == TARGET)}


def flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by dotted key.

    Args:
        node: Mappings within mappings.
        prefix: Put before every key, its dot included.
    """
    values: dict[str, Any] = {}
    for key, value in node.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values
