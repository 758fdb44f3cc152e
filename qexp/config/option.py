"""Options: one dataclass each, registered where it is defined, known by its config group and its name.

An option's class says everything about it once: its first docstring line is what lists and files call it, its
fields are its keys, with type, bounds, words and default value. Hydra's schemas and the checks
(`qexp.config.schema`), the files under ``conf/`` (`qexp.config.files`) and ``--help`` are made from it.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from typing_extensions import Doc

from qexp.errors import InputError

T = TypeVar("T", bound=type)

GROUPS: dict[str, type] = {}
"""The class that all options of a config group derive from, by group (``env/arrivals``)."""

REGISTRY: dict[str, dict[str, type]] = {}
"""Option classes by config group and option name (``poisson``)."""

RUNTIME = {"runtime": True}
"""Field metadata for a constructor argument that code passes in and no YAML file may set."""

NAME = "_option_"
"""Key of a composed config that names the option: with the config group, its identity."""

TARGET = "_target_"
"""Key that names a class by its import path: how an option from outside is found in another process."""


class Configurable:
    """Properties of an option beside its fields; every method and attribute has a default.

    Attributes:
        chooses: Options that go with this one, by config group: chosen with it unless the command says
            otherwise.
        needs: A package that is not installed with qexp by itself, or None.
    """

    chooses: ClassVar[Mapping[str, str]] = {}
    needs: ClassVar[str | None] = None

    @classmethod
    def contradictions(cls, own: Mapping[str, Any], chosen: Chosen) -> Iterator[str]:
        """Yield what is wrong with the option beside the others that are chosen, a line each.

        Args:
            own: The option's keys and values.
            chosen: The whole configuration, each value within its own bounds.
        """
        del own, chosen
        yield from ()

    @classmethod
    def complete(cls, config: dict[str, Any]) -> None:
        """Fill in what follows from the choice of the option, in place, before anything is checked."""


@dataclass(frozen=True)
class Chosen:
    """A resolved configuration, as plain containers, for rules that hold options against each other."""

    config: Mapping[str, Any]

    def __getitem__(self, group: str) -> Mapping[str, Any]:
        """Return the keys and values of a group's option, empty where the configuration has no such group."""
        node: Any = self.config
        for part in group.split("/"):
            node = node.get(part) if isinstance(node, Mapping) else None
        return node if isinstance(node, Mapping) and NAME in node else {}

    def name(self, group: str) -> str | None:
        """Return the name of a group's option, or None where the configuration has no such group."""
        node = self[group]
        return str(node[NAME]) if node else None

    def kind(self, group: str) -> Any:
        """Return the class of a group's option, or None where the configuration has no such group."""
        name = self.name(group)
        return None if name is None else REGISTRY[group][name]


@dataclass(frozen=True)
class Follows:
    """In a field's ``Annotated``: unless it is set, the key has the value of another one.

    Attributes:
        key: The other key, dotted, from the root.
        optional: Whether not every configuration has it: without it the field's default holds.
    """

    key: str
    optional: bool = False


@dataclass(frozen=True)
class ListOf:
    """In a field's ``Annotated``: a list of a group's options, each a name or ``{name: {key: value}}``."""

    group: str


@dataclass(frozen=True)
class Key:
    """A key of an option, as its field declares it; its hint is its type with bounds and words."""

    name: str
    hint: Any
    field: dataclasses.Field[Any]

    def _extra(self, kind: type) -> Any:
        extras = get_args(self.hint)[1:] if get_origin(self.hint) is Annotated else ()
        return next((part for part in extras if isinstance(part, kind)), None)

    @property
    def words(self) -> str:
        """The meaning of the key."""
        doc = self._extra(Doc)
        return doc.documentation if doc else ""

    @property
    def follows(self) -> str | None:
        """The value of another key, see `Follows`, as OmegaConf reads it; None where it follows none."""
        other = self._extra(Follows)
        if other is None:
            return None
        return f"${{oc.select:{other.key},{self.default}}}" if other.optional else f"${{{other.key}}}"

    @property
    def list_of(self) -> str | None:
        """The config group whose options it lists, see `ListOf`, or None."""
        listed = self._extra(ListOf)
        return None if listed is None else str(listed.group)

    @property
    def group(self) -> str | None:
        """The config group whose options it holds, or None for a plain value."""
        return next((name for name, base in GROUPS.items() if base is self.hint), None)

    @property
    def section(self) -> type | None:
        """The dataclass whose keys stand below it, or None where it is no section."""
        return self.hint if dataclasses.is_dataclass(self.hint) and not self.group else None  # type: ignore[return-value]

    @property
    def required(self) -> bool:
        """True if the user must give a value."""
        return _nothing(self.field.default) and _nothing(self.field.default_factory)

    @property
    def default(self) -> Any:
        """The value that it has unless it is set; not for required ones."""
        factory = self.field.default_factory
        return self.field.default if _nothing(factory) else factory()  # type: ignore[operator]


def _nothing(default: object) -> bool:
    """Tell whether a field has no default; a class that was sent to another process has its own `MISSING`."""
    return isinstance(default, type(dataclasses.MISSING))


@cache
def keys(cls: type) -> dict[str, Key]:
    """Return the keys of an option or section that a YAML file or the command line may set, by name."""
    hints = get_type_hints(cls, include_extras=True)
    settable = (f for f in dataclasses.fields(cls) if f.init and not f.metadata.get("runtime"))
    return {field.name: Key(field.name, hints[field.name], field) for field in settable}


def words(cls: type) -> str:
    """Return what an option is, in a line: the first of its docstring."""
    own = cls.__doc__ or ""
    # A dataclass without a docstring is given its signature.
    return "" if own.startswith(f"{cls.__name__}(") else own.strip().partition("\n")[0]


def path_of(cls: type) -> str:
    """Return the import path of a class."""
    return f"{cls.__module__}.{cls.__qualname__}"


def is_ours(cls: type) -> bool:
    """Tell whether an option ships with qexp."""
    return cls.__module__.partition(".")[0] == "qexp"


def option_name(class_name: str) -> str:
    """Return the option name of a class name: ``RoundRobin`` is ``round_robin``, ``MQT50`` is ``mqt50``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower()


def name_of(cls: type, group: str) -> str:
    """Return the name under which a class is registered; an unregistered one gets its own in snake case."""
    names = [name for name, known in REGISTRY.get(group, {}).items() if known is cls]
    return names[0] if names else option_name(cls.__name__)


def group(name: str) -> Callable[[T], T]:
    """Declare a config group: the decorated class is what its options derive from.

    Args:
        name: Of the group, as on the command line; ``env/NAME`` for a part of an environment.

    Raises:
        InputError: The class does not derive from `Configurable`, or the group is another package's.
    """

    def declare(cls: T) -> T:
        if not issubclass(cls, Configurable):
            raise InputError(f"{path_of(cls)} as group {name}: derive it from qexp.Configurable")
        if name in GROUPS and path_of(GROUPS[name]) != path_of(cls):
            raise InputError(f"{path_of(cls)}: {path_of(GROUPS[name])} has group {name} already")
        GROUPS[name] = cls
        REGISTRY.setdefault(name, {})
        return cls

    return declare


def option(group: str, name: str | None = None) -> Callable[[T], T]:
    """Register a dataclass as an option of a config group.

    Args:
        group: Config group as written on the command line, for example ``env/arrivals``.
        name: Option name; by default the class name in snake case.

    Raises:
        InputError: There is no such group, the class is no dataclass or not what the group's options are, or
            another class has the name.
    """

    def register(cls: T) -> T:
        chosen = name or option_name(cls.__name__)
        _check(cls, group, chosen)
        REGISTRY[group][chosen] = cls
        return cls

    return register


def _check(cls: type, group: str, name: str) -> None:
    where = f"{path_of(cls)} as {group}={name}"
    if group not in GROUPS:
        load_options()
    if group not in GROUPS:
        raise InputError(f"{where}: there is no group {group!r}; choose one of {', '.join(sorted(GROUPS))}")
    if not issubclass(cls, GROUPS[group]):
        raise InputError(f"{where}: options of {group} derive from {path_of(GROUPS[group])}")
    bare = inspect.get_annotations(cls) and "__dataclass_fields__" not in vars(cls)
    if bare or not dataclasses.is_dataclass(cls):
        raise InputError(f"{where}: put @dataclass below @option: its fields are the option's keys")
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise InputError(f"{where}: a name is made of letters, digits and underscores")
    other = REGISTRY[group].get(name)
    # The same class again is a module that is loaded again, or a notebook's cell.
    if other is not None and path_of(other) != path_of(cls):
        raise InputError(f"{where}: {path_of(other)} has this name already: choose another one")


def entries(listed: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and node of each option of a resolved list, see `ListOf`."""
    for entry in listed:
        name, settings = next(iter(entry.items())) if isinstance(entry, Mapping) else (entry, {})
        yield name, {NAME: name} | settings


def installed(cls: Any) -> bool:
    """Tell whether an option has all it needs, see `Configurable`."""
    return cls.needs is None or find_spec(cls.needs) is not None


def named(cls: type, group: str) -> dict[str, Any]:
    """Return the keys that say which option a configuration means: its name, which is its identity.

    Where the class is not qexp's, its import path goes along: another process finds it there.
    """
    identity = {NAME: name_of(cls, group)}
    return identity if is_ours(cls) else identity | {TARGET: path_of(cls)}


def defaults_list(cls: type, name: str) -> list[Any]:
    """Return the defaults list of an option's file."""
    parts = [
        {key.name: "???" if key.required else name_of(type(key.default), key.group)}
        for key in keys(cls).values()
        if key.group
    ]
    chooses: Mapping[str, str] = getattr(cls, "chooses", {})
    overrides = [{f"override /{group}@_global_.{group}": option} for group, option in chooses.items()]
    return [f"{name}_schema", *parts, *overrides, "_self_"]


@cache
def load_options() -> None:
    """Fill the registry with the options that ship with qexp, and those of installed packages."""
    importlib.import_module("qexp.options")
