"""Words for people: what went wrong in one line, and which options there are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.errors import MissingConfigException

from qexp.config.option import REGISTRY, keys, load_options, words
from qexp.config.root import Config
from qexp.errors import InputError

PRESETS = "experiment"
HELP = """\
qexp trains, compares and reuses policies that decide where quantum work runs.

Usage: qexp [run] [group=option] [key=value] ...      (or: python -m qexp ...)

  qexp                                     the heuristics' leaderboard
  qexp algo=a2c env.tasks=25               train a policy, export it, compare it
  qexp scheduler=policy scheduler.path=outputs/.../policy
                                           evaluate a trained policy
  qexp env=gate_scheduling                 schedule the gates of circuits instead
  qexp -m scheduler=mct,weighted seed=1,2  one run for each combination
  qexp experiment=compare                  a preset
  qexp resume=outputs/...                  resume a training run or a campaign that was cut off

Other commands (each has --help):

{commands}

Options, by config group:

{groups}

All keys with their values: qexp --cfg job. What each means: the comments in conf/.
Hydra's own flags: qexp --hydra-help."""


def explain(error: BaseException) -> str:
    """Say in one line what is wrong with the input, with what would be accepted."""
    text, full = _flat(error), _flat(error, error.__cause__)
    if isinstance(error, InputError):
        return text
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name}: there is no such option; choose one of {', '.join(sorted(error.options))}"
    if (part := re.match(r"Could not override '([^']+)'\. No match in the defaults list", text)) and (
        owners := _environments_with(part[1])
    ):
        return f"{part[1]}: the environment has no such group; it belongs to {_listed(owners)}"
    if wrong := re.match(
        r"Error merging override ([\w.]+)=(?:([^:]*): .*\bis not a ListConfig"
        r"|(\{.*\}): Cannot merge DictConfig with List)",
        full,
    ):
        key, value = wrong[1], wrong[2] or wrong[3]
        return f"{key}={value}: expected a list: write {key}=[{value}]"
    if unknown := re.search(r"Could not override '([^']+)'.*Key '\w+' (?:is )?not in", full):
        return f"unknown key {unknown[1]!r}{_closest(unknown[1])}"
    if "mismatched input '='" in full or "LexerNoViableAlt" in full:
        text = full.replace("LexerNoViableAltException: ", "").removesuffix(": ^")
        return f"{text}; a value with such characters is put in quotes twice: 'key=\"value\"'"
    return full


def _flat(*errors: BaseException | None) -> str:
    """Join the messages of an exception and its cause to one line, without what only a debugger needs."""
    lines = [line.strip() for error in errors if error is not None for line in str(error).splitlines()]
    noise = ("full_key:", "object_type=", "reference_type=", "See https://hydra.cc")
    return ": ".join(
        dict.fromkeys(line.rstrip(".:") for line in lines if line and not line.startswith(noise))
    )


def _environments_with(group: str) -> list[str]:
    parent, _, part = group.rpartition("/")
    options = REGISTRY.get(parent, {}) if group in REGISTRY else {}
    return [f"{parent}={name}" for name, cls in options.items() if part in keys(cls)]


def _listed(words: Sequence[str]) -> str:
    """Join words as in a sentence: a, b and c."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def keys_of_options() -> list[str]:
    """Return every key that some configuration has, and every config group."""
    root = [
        f"{name}.{below}" if key.section else name
        for name, key in keys(Config).items()
        for below in (keys(key.section) if key.section else [""])
    ]
    return sorted({*root, *REGISTRY, *(key for its in _keys_by_choice().values() for key in its)})


def _keys_by_choice() -> dict[str, list[str]]:
    """Return the keys of each option, by how it is chosen."""
    return {
        f"{group}={name}": [f"{group.replace('/', '.')}.{key}" for key in keys(cls)]
        for group, options in REGISTRY.items()
        for name, cls in sorted(options.items())
    }


def _closest(key: str) -> str:
    """Say which key a mistyped one may stand for, or which options would have it."""
    by_choice = _keys_by_choice()
    if owners := [choice for choice, its in by_choice.items() if key in its]:
        return f"; it belongs to {_listed(owners)}"
    parent, _, name = key.rpartition(".")
    known = keys_of_options()
    siblings = [other for other in known if parent and other.rpartition(".")[0] == parent]
    same = [other for other in known if parent and _parts(other)[-1] == name]
    nearby = [other for other in same if _parts(other)[0] == _parts(key)[0]]
    if not nearby and (close := _close(name, siblings)):
        return f"; did you mean {close!r}?{_owners(close, by_choice)}"
    if same:
        return f"; did you mean {' or '.join(map(repr, (nearby or same)[:2]))}?"
    if siblings:
        owned: dict[str, list[str]] = {}
        for other in siblings:
            owned.setdefault(_owners(other, by_choice), []).append(other)
        return "; there is " + "; ".join(f"{', '.join(its)}{owners}" for owners, its in owned.items())
    if close := _close(name, known):
        return f"; did you mean {close!r}?"
    return "; qexp --cfg job shows all keys"


def _parts(key: str) -> list[str]:
    return re.split("[./]", key)


def _close(name: str, keys: Sequence[str]) -> str | None:
    """Return the key whose last part is closest to a name, if one is close."""
    by_name = {_parts(key)[-1]: key for key in keys}
    close = difflib.get_close_matches(name, by_name, n=1, cutoff=0.7)
    return by_name[close[0]] if close else None


def _owners(key: str, by_choice: Mapping[str, Sequence[str]]) -> str:
    """Say in brackets which options have a key, if it is not in all of its group's."""
    owners = [choice for choice, its in by_choice.items() if key in its]
    group = owners[0].partition("=")[0] if owners else ""
    return "" if len(owners) == len(REGISTRY.get(group, ())) else f" ({', '.join(owners)})"


def options_of(conf: Path) -> dict[str, dict[str, str]]:
    """Return every config group's options with what each is, in a line, and the presets with theirs.

    A preset's file in the folder opens with its package and its command; what it is for is the third line.
    """
    load_options()
    groups = {
        group: {name: words(cls) for name, cls in sorted(options.items())}
        for group, options in REGISTRY.items()
    }
    groups[PRESETS] = {
        path.stem: path.read_text(encoding="utf-8").splitlines()[2].removeprefix("#").strip()
        for path in sorted((conf / PRESETS).glob("*.yaml"))
    }
    return dict(sorted(groups.items()))


def help_text(conf: Path, commands: str) -> str:
    """Return what ``--help`` prints: how to start, the other commands, and all options by config group.

    Args:
        conf: See `options_of`.
        commands: A line for each of the other commands.
    """
    groups = (f"  {group:17s} {', '.join(options)}" for group, options in options_of(conf).items())
    return HELP.format(commands=commands, groups="\n".join(groups))
