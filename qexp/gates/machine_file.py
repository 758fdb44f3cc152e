"""Machines as files: YAML or JSON in the layout of `MachineProperties.from_mapping`, and those that ship."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from qexp.errors import InputError

_KEYS = {
    "description",
    "n_qubits",
    "gates",
    "machine_restrictions",
    "exclusion",
    "two_qubit_gates",
    "cycle_ns",
}
_RESTRICTIONS = {"same_start", "not_in_same_cycle"}
_DATA = resources.files("qexp.gates") / "data"


class MachineFileError(InputError, NotImplementedError):
    """A machine file that cannot be used.

    A NotImplementedError too: scripts written for qgym, which reads no files, catch that one.
    """


def machine_names() -> list[str]:
    """Names of the machines that ship with qexp."""
    return sorted(path.name.removesuffix(".yaml") for path in _DATA.iterdir() if path.name.endswith(".yaml"))


def read_machine(name: str | Path) -> dict[str, Any]:
    """Return what a machine's file says, as `MachineProperties.from_mapping` takes it.

    Args:
        name: Of a machine that ships with qexp, or the path of a .yaml, .yml or .json file.

    Raises:
        MachineFileError: No such file or machine, or it is no mapping of the keys of one.
    """
    if str(name) in machine_names():
        return _checked(yaml.safe_load((_DATA / f"{name}.yaml").read_text(encoding="utf-8")), str(name))
    path = Path(name)
    if path.suffix not in {".yaml", ".yml", ".json"}:
        raise MachineFileError(
            f"unknown machine {str(name)!r}; give the path of a .yaml or .json file, or one of "
            + ", ".join(machine_names())
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise MachineFileError(f"cannot read machine {path}: {reason}") from error
    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        raise MachineFileError(f"{path}: {' '.join(str(error).split())}") from error
    return _checked(content, str(path))


def _checked(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise MachineFileError(f"{where}: a machine is a mapping of {', '.join(sorted(_KEYS))}")
    # A file is written once and read by others: a key nobody reads is a slip of the writer.
    restrictions = content.get("machine_restrictions")
    wrong = [str(key) for key in content if key not in _KEYS]
    if isinstance(restrictions, dict):
        wrong += [f"machine_restrictions.{key}" for key in restrictions if key not in _RESTRICTIONS]
    if wrong:
        raise MachineFileError(f"{where}: unknown key {wrong[0]!r}")
    return content
