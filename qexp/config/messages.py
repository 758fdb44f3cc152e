"""Words for people: what went wrong in one line, and which options there are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import MissingConfigException

from qexp.config.option import REGISTRY, keys, load_options, words
from qexp.errors import InputError

PRESETS = "experiment"
HELP = """\
qexp trains, compares and reuses policies that decide where quantum work runs.

Usage: qexp [group=option] [key=value] ...      (or: python -m qexp ...)

  qexp                                     the heuristics' leaderboard
  qexp algo=a2c env.tasks=25               train a policy, export it, compare it
  qexp scheduler=policy scheduler.path=outputs/.../policy
                                           evaluate a trained policy
  qexp env=gate_scheduling                 schedule the gates of circuits instead
  qexp -m scheduler=mct,weighted seed=1,2  one run for each combination
  qexp experiment=compare                  a preset
  qexp resume=outputs/...                  go on with a training run or a campaign that was cut off

Options, by config group:

{groups}

All keys with their values: qexp --cfg job. What each means: the comments in conf/.
Hydra's own flags: qexp --hydra-help."""
ROOT_KEYS = (
    "seed",
    "plots",
    "sweep",
    "resume",
    "eval.episodes",
    "eval.baselines",
    "eval.seed",
    "ray.address",
)


def explain(error: BaseException) -> str:
    """Say in one line what is wrong with the input, with what would be accepted."""
    text, full = _flat(error), _flat(error, error.__cause__)
    if isinstance(error, InputError):
        return text
    if isinstance(error, MissingConfigException):
        return _unknown_option(error, text)
    if (group := re.match(r"Could not override '([^']+)'\. No match in the defaults list", text)) and (
        owners := _environments_with(group[1])
    ):
        return f"{group[1]}: the environment has no such group; it belongs to {_listed(owners)}"
    if single := re.match(r"Error merging override ([\w.]+)=([^:]*): .*\bis not a ListConfig", full):
        return f"{single[1]}={single[2]}: expected a list: write {single[1]}=[{single[2]}]"
    if unknown := re.search(r"Could not override '([^']+)'.*Key '\w+' (?:is )?not in", full):
        return f"unknown key {unknown[1]!r}{_closest(unknown[1])}"
    if "mismatched input '='" in full:
        return f"{full}; a value that holds = is put in quotes twice: 'key=\"value\"'"
    return full


def _flat(*errors: BaseException | None) -> str:
    """Join the messages of an exception and its cause to one line, without what only a debugger needs."""
    lines = [line.strip() for error in errors if error is not None for line in str(error).splitlines()]
    noise = ("full_key:", "object_type=", "reference_type=", "See https://hydra.cc")
    return ": ".join(
        dict.fromkeys(line.rstrip(".:") for line in lines if line and not line.startswith(noise))
    )


def _unknown_option(error: MissingConfigException, text: str) -> str:
    config, options = error.missing_cfg_file, error.options
    if not config or not options:
        return text
    group, _, name = config.rpartition("/")
    names = sorted(option for option in options if not option.endswith("_schema"))
    return f"{group}={name}: there is no such option; choose one of {', '.join(names)}"


def _environments_with(group: str) -> list[str]:
    parent, _, part = group.rpartition("/")
    options = REGISTRY.get(parent, {}) if group in REGISTRY else {}
    return [f"{parent}={name}" for name, cls in options.items() if part in keys(cls)]


def _listed(words: Sequence[str]) -> str:
    """Join words as in a sentence: a, b and c."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def _closest(key: str) -> str:
    """Say which key a mistyped one may stand for, or which options would have it."""
    by_option = {
        f"{group}={name}": [f"{group.replace('/', '.')}.{key}" for key in keys(cls)]
        for group, options in REGISTRY.items()
        for name, cls in options.items()
    }
    if owners := [choice for choice, its in by_option.items() if key in its]:
        return f"; it belongs to {_listed(owners)}"
    parent, _, name = key.rpartition(".")
    known = sorted({*ROOT_KEYS, *REGISTRY, *(key for its in by_option.values() for key in its)})
    if exact := [other for other in known if re.split("[./]", other)[-1] == name and parent]:
        return f"; did you mean {' or '.join(map(repr, exact[:2]))}?"
    siblings = [other for other in known if other.rpartition(".")[0] == parent]
    for candidates in (siblings, known):
        by_name = {re.split("[./]", other)[-1]: other for other in candidates}
        if close := difflib.get_close_matches(name, by_name, n=1):
            return f"; did you mean {by_name[close[0]]!r}?"
    return "; qexp --cfg job shows all keys"


def options_of(conf: Path) -> dict[str, dict[str, str]]:
    """Return every config group's options with what each is, in a line, and the presets with theirs.

    Args:
        conf: The folder of the presets: one opens with its package and its command; what it is for comes in
            the third line.
    """
    load_options()
    groups = {
        group: {name: words(cls) for name, cls in sorted(options.items())}
        for group, options in REGISTRY.items()
    }
    lines = {
        path.stem: path.read_text(encoding="utf-8").splitlines()[2].removeprefix("#").strip()
        for path in sorted((conf / PRESETS).glob("*.yaml"))
    }
    return dict(sorted((groups | {PRESETS: lines}).items()))


def help_text(conf: Path) -> str:
    """Return what ``--help`` prints: how to start, and all options by config group."""
    groups = (f"  {group:17s} {', '.join(options)}" for group, options in options_of(conf).items())
    return HELP.format(groups="\n".join(groups))
