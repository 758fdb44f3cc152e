"""A command line as Hydra can take it: flags in their place, values in quotes."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from qexp.config.commands import COMMANDS, RUNS
from qexp.config.messages import PRESETS, keys_of_options
from qexp.config.option import REGISTRY
from qexp.errors import InputError

COMPLETION = {"-sc", "--shell-completion"}
MULTIRUN = {"-m", "--multirun"}
GRAMMAR = re.compile(
    r"""["'{]|(bool|choice|float|glob|int|interval|json_str|range|shuffle|sort|str|tag)\(|\w+\(.*\)$"""
)
"""How values begin that are meant to be Hydra's grammar, whatever is wrong with them."""


def readable(arguments: Sequence[str]) -> list[str]:
    """Return a command line, without the program, that Hydra can read: overrides first, then flags.

    A value that only lacks quotes gets them where it is the path of something that exists. Hydra knows
    ``plots.format`` as ``plots``: one value.

    Raises:
        InputError: A word that sets nothing, an unknown flag, a key that cannot be removed, or a value that
            needs quotes.
    """
    if COMPLETION & set(arguments):
        return list(arguments)
    overrides, flags = _parted(arguments)
    known = keys_of_options()
    for override in overrides:
        if override.startswith("~"):
            _refuse_removal(override, known)
        elif "=" not in override:
            _refuse_word(override, known)
    multirun = bool(MULTIRUN & set(flags))
    overrides = [re.sub(r"^(\+*)plots\.format=", r"\1plots=", override) for override in overrides]
    return [*(_quoted(override, multirun=multirun) for override in overrides), *flags]


def _parted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part overrides from flags and their values: flags may stand between overrides."""

    def refuse(message: str) -> None:
        raise InputError(f"{' '.join(arguments)}: {message}; flags: qexp --hydra-help")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign, assignment]
    options, unknown = parser.parse_known_intermixed_args(arguments)
    if unknown:
        raise InputError(f"{unknown[0]}: there is no such flag; flags: qexp --hydra-help")
    overrides: list[str] = list(options.overrides)
    flags: list[str] = []
    pending = overrides[::-1]
    # From the end: a flag's value comes before what looks the same and is an override.
    for argument in reversed(arguments):
        if pending and argument == pending[0]:
            pending.pop(0)
        else:
            flags.insert(0, argument)
    return overrides, flags


def _refuse_word(word: str, keys: Iterable[str]) -> None:
    """Refuse a word that sets nothing, and name the commands that there are."""
    if word in keys:
        raise InputError(f"{word}: give it a value: {word}=VALUE")
    names = [*RUNS, *COMMANDS]
    if word in names:
        raise InputError(f"{word}: a command comes first, as in qexp {word}")
    close = difflib.get_close_matches(word, [*names, *(name.split()[0] for name in names)], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise InputError(f"{word}: neither key=value nor a command; commands: {', '.join(names)}{hint}")


def _refuse_removal(override: str, known: Iterable[str]) -> None:
    """Refuse to remove what every configuration has."""
    key = re.split("[=@]", override.removeprefix("~"), maxsplit=1)[0]
    if key in REGISTRY:
        raise InputError(f"{override}: {key} cannot be left out; choose an option: {key}=OPTION")
    if key != PRESETS and any(other == key or other.startswith(f"{key}.") for other in known):
        raise InputError(f"{override}: {key} cannot be removed; give it a value: {key}=VALUE")


def _quoted(override: str, *, multirun: bool) -> str:
    """Return an override that Hydra's grammar takes, if only quotes keep it from that."""
    if _is_parsed(override):
        return override
    key, _, value = override.partition("=")
    if not re.fullmatch(r"\+{0,2}[\w./@-]+", key, re.ASCII) or GRAMMAR.match(value):
        return override
    if value.startswith("[") and value.endswith("]"):
        wanted = f"{key}=[{_each_in_quotes(value[1:-1])}]"
    else:
        wanted = f"{key}={_each_in_quotes(value) if multirun else _in_quotes(value)}"
    if "${" in value or not _is_parsed(wanted):
        return override
    if not multirun and Path(value).exists():
        return wanted
    raise InputError(
        f"{override}: a value with such characters is put in quotes twice: 'key=\"value\"', here "
        f"{shlex.quote(wanted)}"
    )


def _is_parsed(override: str) -> bool:
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def _in_quotes(value: str) -> str:
    """Quote a value as Hydra reads it: backslashes count only before a quote."""
    escaped = re.sub(r'(\\*)(["]|$)', lambda part: part[1] * 2 + (r"\"" if part[2] else ""), value)
    return f'"{escaped}"'


def _each_in_quotes(values: str) -> str:
    return ",".join(_in_quotes(value.strip()) for value in values.split(","))
