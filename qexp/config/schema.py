"""The root of the configuration, its types and bounds, and the checks made before anything runs.

Every option is a dataclass registered with `qexp.config.option`. Here each becomes a Hydra schema (so that a
wrong key or type fails while the config is composed) and a pydantic model (so that all out-of-range values
are reported at once).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial, reduce
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from typing_extensions import Doc

from qexp.config.identity import with_names
from qexp.config.option import (
    GROUPS,
    NAME,
    REGISTRY,
    TARGET,
    Chosen,
    Follows,
    Key,
    ListOf,
    defaults_list,
    is_ours,
    keys,
    load_options,
    named,
)
from qexp.config.option_files import forget, read_own_files, values_of_files
from qexp.config.outside import class_at, note_once, register_named_in
from qexp.config.plots import Plots
from qexp.errors import InputError


@dataclass
class EvalConfig:
    """How schedulers are compared."""

    episodes: Annotated[
        int,
        Ge(1),
        Doc(
            "Episodes every scheduler is evaluated on. All meet the same ones, none of them seen in training."
        ),
    ] = 100
    baselines: Annotated[
        list[Any] | None,
        ListOf("scheduler"),
        Doc(
            "Schedulers to compare with, besides the one chosen by `scheduler`, with settings of "
            "their own where "
            "wanted: [mct,{weighted:{fidelity_weight:0.2}},{policy:{path:outputs/.../policy}}]; null for all "
            "that the environment has. Of placements, mct is what vs_mct_* refer to and clairvoyant what "
            "gap_closed refers to; of gates, critical_path and cp_sat."
        ),
    ] = None
    seed: Annotated[
        int,
        Ge(0),
        Follows("seed"),
        Doc(
            "Seed of the evaluation episodes; fix it to compare runs of different seeds on the same episodes."
        ),
    ] = MISSING


@dataclass
class RayConfig:
    """Where training runs."""

    address: Annotated[
        str | None,
        Doc(
            "Ray cluster that runs the environment runners (algo.num_env_runners): auto for the one this "
            "machine is a node of, or HOST:PORT of its head node; null for a private Ray on this machine, "
            "gone when the run ends."
        ),
    ] = None


@dataclass
class Config:
    """The keys of the root, beside the config groups."""

    seed: Annotated[
        int,
        Ge(0),
        Doc(
            "Seed of everything random: training, and (unless eval.seed says otherwise) the "
            "evaluation episodes."
        ),
    ] = 0
    eval: EvalConfig = field(default_factory=EvalConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    plots: Plots = True
    sweep: Annotated[
        str | None,
        Doc(
            "Name of a multirun, and of its folder below outputs/sweeps; null for one made from the command. "
            "The same sweep started again runs only what is missing or failed."
        ),
    ] = None
    resume: Annotated[
        str | None,
        Doc(
            "Folder of a run whose training was cut off: it continues from its last checkpoint, with its own "
            "configuration."
        ),
    ] = None


def register(folders: Iterable[Path] = ()) -> None:
    """Store every option's schema with Hydra, as ``<group>/<option>_schema``.

    Options that do not ship with qexp may have no file: they are stored as ``<group>/<option>`` too.

    Args:
        folders: With option files of a user's own, whose classes are registered first.
    """
    load_options()
    read_own_files()
    files = register_named_in(folders)
    store = ConfigStore.instance()
    roots = [(name, Any, field(default=MISSING)) for name in sorted(GROUPS) if "/" not in name]
    store.store(
        name="config_schema", node=dataclasses.make_dataclass("ConfigKeys", roots, bases=(_plain(Config),))
    )
    for group, options in REGISTRY.items():
        for name, cls in options.items():
            schema = _plain(cls, named(cls, group) | {NAME: name})
            store.store(group=group, name=f"{name}_schema", node=schema)
            if (group, name) in files:
                forget(group, name)
            elif not is_ours(cls):
                store.store(group=group, name=name, node={"defaults": defaults_list(cls, name)})


def _plain(cls: type, identity: Mapping[str, str] | None = None) -> type:
    """Return the dataclass that Hydra merges an option's or a section's values into."""
    fields: list[Any] = [(key, str, field(default=value)) for key, value in (identity or {}).items()]
    for name, key in keys(cls).items():
        kind = _plain_type(key.hint)
        if _is_section(kind):
            section: type = _plain(kind)
            fields.append((name, section, field(default_factory=section)))
        elif key.group or key.required:
            fields.append((name, kind, field(default=MISSING)))
        elif key.follows is not None:
            fields.append((name, kind, field(default=key.follows)))
        else:
            fields.append((name, kind, field(default_factory=partial(getattr, key, "default"))))
    return dataclasses.make_dataclass(f"{cls.__name__}Keys", fields)


def _plain_type(hint: Any) -> Any:
    """Return a type OmegaConf knows: bounds stripped, what it has no type for as Any."""
    if get_origin(hint) is Annotated:
        return _plain_type(hint.__origin__)
    if get_origin(hint) is Literal:
        kinds = {type(value) for value in get_args(hint)}
        return kinds.pop() if len(kinds) == 1 else Any
    if get_origin(hint) in {Union, UnionType}:
        parts = [_plain_type(part) for part in get_args(hint) if part is not NoneType]
        # OmegaConf's unions are of these alone.
        simple = all(part in {int, float, bool, str, bytes} for part in parts)
        one: Any = reduce(or_, parts) if len(parts) == 1 or simple else Any
        return one if one is Any or NoneType not in get_args(hint) else one | None
    if get_origin(hint) in {list, dict} or hint in {int, float, bool, str, list, dict}:
        return hint
    if isinstance(hint, type) and (issubclass(hint, Enum) or _is_section(hint)):
        return hint
    return Any


def _is_section(hint: Any) -> bool:
    """Tell whether a type is a group of keys, and not one of options."""
    return dataclasses.is_dataclass(hint) and hint not in GROUPS.values()


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
    complaints = list(_missing_groups(resolved))
    roots = [group for group in GROUPS if "/" not in group and isinstance(resolved.get(group), Mapping)]
    for group in [] if complaints else roots:
        _complete(resolved, group)
    for group in roots:
        resolved[group] = _settled(resolved[group], group, group, complaints)
    rest = {key: value for key, value in resolved.items() if key not in GROUPS}
    resolved |= _checked(Config, rest, "", complaints)
    # Options can only be held against each other once each is sound.
    complaints = complaints or list(_contradictions(resolved))
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
    found = _settled(with_names(node), group, group, complaints)
    if complaints:
        raise InputError("; ".join(complaints))
    return found


def _resolved(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(config, DictConfig):
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise InputError("; ".join(f"{key}: needs a value: set {key}" for key in missing))
        config = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    if not isinstance(config, Mapping):
        raise InputError("the configuration is not a mapping")
    named_config: dict[str, Any] = with_names(config)
    return named_config


def _complete(resolved: dict[str, Any], group: str) -> None:
    """Let an option fill in what follows from its choice; what is wrong with it is said later."""
    with suppress(InputError):
        kind: Any = _class_of(resolved[group], group, group)
        if kind is not None:
            kind.complete(resolved)


def _missing_groups(resolved: Mapping[str, Any]) -> Iterator[str]:
    for group in GROUPS:
        if "/" not in group and not isinstance(resolved.get(group), Mapping):
            shown = f"{group}={resolved[group]}" if group in resolved else group
            yield f"{shown}: choose an option with {group}=OPTION"


def _settled(
    node: Mapping[str, Any], group: str, prefix: str, complaints: list[str], *, choice: str | None = None
) -> dict[str, Any]:
    """Return an option's node with its name, all its keys and its parts, and note what is wrong with it."""
    choice = choice or f"{group}=OPTION"
    try:
        cls = _class_of(node, group, prefix)
    except InputError as error:
        note_once(str(error), complaints)
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


def _class_of(node: Mapping[str, Any], group: str, prefix: str) -> type | None:
    """Return the class that a node means: by its name, or by the path of a class from outside."""
    known = REGISTRY[group].get(str(node.get(NAME)))
    path = node.get(TARGET)
    if path is None:
        return known
    try:
        return class_at(str(path), group, f"{prefix}.{TARGET}")
    except InputError:
        # A package may have moved its class, and tell so under the same name.
        if known is None or is_ours(known):
            raise
        return known


def _checked(cls: type, values: Mapping[str, Any], prefix: str, complaints: list[str]) -> dict[str, Any]:
    """Return values with those added that have defaults, and note what is out of bounds."""
    checked = dict(values)
    for name, key in keys(cls).items():
        if _is_section(_plain_type(key.hint)):
            section = checked.get(name, {})
            if isinstance(section, Mapping):
                checked[name] = _checked(_plain_type(key.hint), section, f"{prefix}{name}.", complaints)
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


def _contradictions(resolved: dict[str, Any]) -> Iterator[str]:
    chosen = Chosen(resolved)
    for group in GROUPS:
        if (kind := chosen.kind(group)) is not None:
            yield from kind.contradictions(chosen[group], chosen)


def _model(cls: type) -> type[BaseModel]:
    # Keys become aliases: a key named like one of pydantic's own methods would make it warn.
    fields: dict[str, Any] = {
        f"key_{position}": (_bounded(key), Field(alias=key.name))
        for position, key in enumerate(keys(cls).values())
    }
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid", allow_inf_nan=False), **fields)


def _bounded(key: Key) -> Any:
    """Return what pydantic checks of a key here: parts and sections are checked by themselves."""
    return Any if key.group or _is_section(_plain_type(key.hint)) else key.hint


def _as_typed(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values as their keys' types have them: 1 of a float, or "1", is 1.0."""
    model = _model(cls).model_validate(dict(values))
    typed = {key: getattr(model, f"key_{position}") for position, key in enumerate(keys(cls))}
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
