"""Options of somebody else's: of modules that a configuration names, and what other processes have."""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from qexp.config.option import GROUPS, NAME, REGISTRY, TARGET, is_ours, load_options, name_of, option, path_of
from qexp.errors import InputError

BROKEN: dict[str, str] = {}
"""Installed packages whose options could not be loaded, and why, by the name of their entry point."""


def class_at(path: str, group: str, key: str) -> type:
    """Return the option that an import path names, registered if it was not.

    Args:
        path: Module and class, dotted; looked for where Python looks, and in the current folder.
        group: Config group that it is used in.
        key: Of the configuration, for messages.

    Raises:
        InputError: There is no such class, or it is no option of the group.
    """
    module, _, name = path.rpartition(".")
    cls: Any = None
    if module:
        _see_here()
        try:
            cls = getattr(importlib.import_module(module), name, None)
        except Exception as error:
            top = module.partition(".")[0]
            missing = isinstance(error, ModuleNotFoundError) and error.name == top
            advice = f"; install {top}, or start in the folder that holds it" if missing else ""
            raise InputError(f"{key}={path}: cannot be imported: {reason(error)}{advice}") from error
    base = GROUPS[group]
    if cls is None and module == "__main__":
        raise InputError(f"{key}={path}: it was defined in a script or notebook: put it into a module")
    if not (isinstance(cls, type) and issubclass(cls, base) and dataclasses.is_dataclass(cls)):
        raise InputError(
            f"{key}={path}: not an option of {group}: it has to be a dataclass that derives from "
            f"{path_of(base)}"
        )
    if cls not in REGISTRY[group].values():
        option(group, name_of(cls, group))(cls)
    return cls


def reason(error: Exception) -> str:
    """Return an exception in a line."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}".removesuffix(": ")


def _see_here() -> None:
    """Let modules in the current folder be found: the command ``qexp`` does not look there by itself."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
        # What a launcher starts should find them too.
        known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, known), here])


def with_names_of_classes(typed: Sequence[str]) -> list[str]:
    """Return a command line in which ``GROUP._target_=CLASS`` chooses that class as any option is chosen.

    Raises:
        InputError: There is no such class, or it is no option of the group.
    """
    load_options()
    chosen: dict[str, str] = {}
    for item in typed:
        key, _, paths = item.lstrip("+").partition("=")
        group = _group(item)
        if group in GROUPS and key.endswith(f".{TARGET}"):
            classes = [class_at(path.strip(" \"'"), group, key) for path in paths.split(",")]
            chosen[group] = f"{group}={','.join(name_of(cls, group) for cls in classes)}"
    return [*(item for item in typed if _group(item) not in chosen), *chosen.values()]


def _group(override: str) -> str | None:
    """Return the group whose option an override chooses, by name or by class, if it is one."""
    key, equals, _ = override.lstrip("+").partition("=")
    return key.removesuffix(f".{TARGET}").replace(".", "/") if equals else None


def register_named_in(folders: Iterable[Path]) -> set[tuple[str, str]]:
    """Register the classes that option files of a user's own name by their ``_target_``.

    Their schemas can then be in the files' defaults lists, their names in help and lists of options. What
    cannot be read or imported is left to the composition, which says so where it is used.

    Returns:
        Group and name of every option file in the folders.
    """
    files = set()
    for folder in folders:
        # The upper ones first: an environment's module may declare the groups of its parts.
        for file in sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path)):
            group = file.relative_to(folder).parent.as_posix()
            if group not in GROUPS:
                continue
            files.add((group, file.stem))
            try:
                content = yaml.safe_load(file.read_text(encoding="utf-8"))
                if isinstance(content, dict) and isinstance(content.get(TARGET), str):
                    cls = class_at(content[TARGET], group, f"{file}: {TARGET}")
                    REGISTRY[group].setdefault(str(content.get(NAME, name_of(cls, group))), cls)
            except (OSError, ValueError, yaml.YAMLError):
                continue
    return files


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """Return the folders of option files that ``--config-dir`` and ``hydra.searchpath`` name."""
    named: list[str] = []
    for position, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in {"--config-dir", "-cd"}:
            named += [value] if equals else arguments[position + 1 : position + 2]
        elif flag.lstrip("+") == "hydra.searchpath":
            named += [part.strip(" \"'") for part in value.strip("[]").split(",")]
    folders = (Path(name.removeprefix("file://")) for name in named)
    return [folder.absolute() for folder in folders if folder.is_dir()]


def outside_options() -> dict[str, dict[str, type]]:
    """Return the options that do not ship with qexp, for another process: see `take_in`."""
    return {
        group: {name: cls for name, cls in options.items() if not is_ours(cls)}
        for group, options in REGISTRY.items()
    }


def take_in(options: Mapping[str, Mapping[str, type]]) -> None:
    """Register options that another process had, see `outside_options`."""
    load_options()
    for group, own in options.items():
        for name, cls in own.items():
            REGISTRY[group].setdefault(name, cls)
