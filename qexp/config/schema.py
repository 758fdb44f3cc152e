"""The checks of a configuration before anything runs: types, bounds, and options against each other.

Every option becomes a pydantic model, so that all values that are out of range are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from qexp.config.composition import values_of_files
from qexp.config.identity import with_names
from qexp.config.option import GROUPS, NAME, REGISTRY, TARGET, Chosen, is_ours, keys, load_options, named
from qexp.config.outside import class_at
from qexp.config.root import Config
from qexp.errors import InputError


def validate(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Check every value against its bounds, and the options against each other.

    Args:
        config: A composed configuration, or what `validate` returned for one, now or in an earlier version.

    Returns:
        The resolved configuration as plain containers; every option names itself in the key ``_option_``.

    Raises:
        InputError: Naming every key that is wrong.
    """
    load_options()  # a process that only runs a sweep's jobs never composes, and never registers
    resolved = _resolved(config)
    top = [group for group in GROUPS if "/" not in group]
    complaints = []
    for group in top:
        if not isinstance(resolved.get(group), Mapping):
            shown = f"{group}={resolved[group]}" if group in resolved else group
            complaints.append(f"{shown}: choose an option with {group}=OPTION")
    roots = [group for group in top if isinstance(resolved.get(group), Mapping)]
    for group in [] if complaints else roots:
        with suppress(InputError):  # raised again below
            kind: Any = _class_of(resolved[group], group, group)
            if kind is not None:
                kind.complete(resolved)
    for group in roots:
        resolved[group] = _settled(resolved[group], group, group, complaints)
    rest = {key: value for key, value in resolved.items() if key not in GROUPS}
    resolved |= _checked(Config, rest, "", complaints)
    # Options can only be held against each other once each is sound.
    complaints = complaints or list(_contradictions(Chosen(resolved)))
    if complaints:
        raise InputError("; ".join(dict.fromkeys(complaints)))
    return resolved


def settled(node: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Return an option's node with its name, all its keys and its parts.

    Args:
        node: Its name, or the path of its class, and what is set of it.
        group: Its config group.

    Raises:
        InputError: Naming every key that is wrong.
    """
    load_options()
    complaints: list[str] = []
    complete = _settled(with_names(node), group, group, complaints)
    if complaints:
        raise InputError("; ".join(complaints))
    return complete


def _resolved(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    plain: Any = config
    if isinstance(config, DictConfig):
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise InputError("; ".join(f"{key}: needs a value: set {key}" for key in missing))
        plain = OmegaConf.to_container(config, resolve=True)
    if not isinstance(plain, Mapping):
        raise InputError("the configuration is not a mapping")
    resolved: dict[str, Any] = with_names(plain)
    return resolved


def _contradictions(chosen: Chosen) -> Iterator[str]:
    for group in GROUPS:
        if (kind := chosen.kind(group)) is not None:
            yield from kind.contradictions(chosen[group], chosen)


def _settled(
    node: Mapping[str, Any], group: str, prefix: str, complaints: list[str], *, choice: str | None = None
) -> dict[str, Any]:
    """Return an option's node with its name, all its keys and its parts, and note what is wrong with it."""
    choice = choice or f"{group}=OPTION"
    try:
        cls = _class_of(node, group, prefix)
    except InputError as error:
        _note_once(str(error), complaints)
        return dict(node)
    if cls is None:
        unknown = f"{prefix}: there is no option {node[NAME]!r}" if NAME in node else prefix
        complaints.append(f"{unknown}: choose an option with {choice}")
        return dict(node)
    identity = named(cls, group)
    if REGISTRY[group].get(str(node.get(NAME))) is cls:  # one class may have several names
        identity[NAME] = str(node[NAME])
    former = REGISTRY[group].get(str(node.get(NAME)), cls)
    # What the class that another one replaces leaves over.
    left_over = {NAME, TARGET, *(keys(former).keys() - keys(cls).keys())}
    values = {key: value for key, value in node.items() if key not in left_over}
    for key in keys(cls).values():
        if key.group is None:
            continue
        part = values.get(key.name, {} if key.required else named(type(key.default), key.group))
        if isinstance(part, Mapping) and {NAME, TARGET} & part.keys():
            values[key.name] = _settled(part, key.group, f"{prefix}.{key.name}", complaints)
        else:
            complaints.append(f"{prefix}.{key.name}={part}: choose an option with {group}/{key.name}=OPTION")
    return identity | _checked(cls, values, f"{prefix}.", complaints)


def _note_once(complaint: str, complaints: list[str]) -> None:
    """Add a complaint of `class_at`; of several classes of a module that is not there, the reason once."""
    key, _, why = complaint.partition(": ")
    for position, earlier in enumerate(complaints):
        if why and earlier.endswith(f": {why}"):
            complaints[position] = f"{earlier.removesuffix(f': {why}')}, {key}: {why}"
            return
    complaints.append(complaint)


def _class_of(node: Mapping[str, Any], group: str, prefix: str) -> type | None:
    """Return the class that a node means: by its name, or by the path of a class from outside."""
    known = REGISTRY[group].get(str(node.get(NAME)))
    path = node.get(TARGET)
    if path is None:
        return known
    try:
        return class_at(str(path), group, f"{prefix}.{TARGET}")
    except InputError:
        # A package may have moved its class; the name is the same.
        if known is None or is_ours(known):
            raise
        return known


def _checked(cls: type, values: Mapping[str, Any], prefix: str, complaints: list[str]) -> dict[str, Any]:
    """Return values with those added that have defaults, and note what is out of bounds."""
    checked = dict(values)
    for name, key in keys(cls).items():
        if key.section:
            section = checked.get(name, {})
            if isinstance(section, Mapping):
                checked[name] = _checked(key.section, section, f"{prefix}{name}.", complaints)
        elif name not in checked and not key.required:
            checked[name] = None if key.default is MISSING else key.default
        if key.list_of and isinstance(checked.get(name), list):
            checked[name] = _settled_list(checked[name], key.list_of, f"{prefix}{name}", complaints)
    try:
        return checked | _as_typed(cls, checked)
    except ValidationError as error:
        complaints += _violations(error, prefix)
        return checked


def _settled_list(entries: list[Any], group: str, prefix: str, complaints: list[str]) -> list[Any]:
    """Return a list of options with their names and, where they have any, all their settings."""
    asked: list[tuple[str, dict[str, Any]]] = []
    for entry in entries:
        parts = list(entry.items()) if isinstance(entry, Mapping) else [(entry, {})]
        if len(parts) != 1 or not isinstance(parts[0][0], str) or not isinstance(parts[0][1] or {}, Mapping):
            complaints.append(f"{prefix}: {entry!r}: write NAME, or {{NAME: {{KEY: VALUE}}}}")
            continue
        asked.append((parts[0][0], with_names(dict(parts[0][1] or {}))))
    files = values_of_files(group, [name for name, _ in asked])
    settled = []
    for name, settings in asked:
        where = f"{prefix}.{name}"
        if name not in REGISTRY[group] and name not in files and TARGET not in settings:
            complaints.append(
                f"{prefix}: unknown {group} {name!r}; known: {', '.join(sorted(REGISTRY[group]))}"
            )
            continue
        node = {NAME: name} | with_names(files.get(name, {})) | settings
        node = _settled(node, group, where, complaints, choice=prefix)
        rest = {key: value for key, value in node.items() if key != NAME}
        settled.append({node[NAME]: rest} if rest else node[NAME])
    return settled


def _as_typed(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values as their keys' types have them: 1 of a float, or "1", is 1.0."""
    # Parts and sections are checked by themselves.
    hints = {name: Any if key.group or key.section else key.hint for name, key in keys(cls).items()}
    kind: Any = TypedDict(cls.__name__, hints)  # type: ignore[misc]
    kind.__pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)  # type: ignore[attr-defined]
    typed = TypeAdapter(kind).validate_python(dict(values))
    return {key: value for key, value in typed.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if type(value) is list else type(value) in {bool, int, float, str}


def _violations(error: ValidationError, prefix: str) -> Iterator[str]:
    for item in error.errors():
        key = prefix + ".".join(str(part) for part in item["loc"])
        reason = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        if item["type"] == "extra_forbidden":
            yield f"unknown key {key!r}"
        elif item["type"] == "missing":
            yield f"{key}: needs a value: set {key}"
        else:
            yield f"{key}={item['input']}: {reason}"
