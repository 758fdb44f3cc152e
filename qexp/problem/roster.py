"""Who decides: the schedulers of a run, each an option with its settings, made once and known by one name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from qexp.config.build import make
from qexp.config.identity import option_of
from qexp.config.option import NAME, REGISTRY, TARGET, entries, installed, is_ours, keys
from qexp.errors import InputError
from qexp.problem.scheduler import Scheduler

POLICY = "policy"


@dataclass
class Roster:
    """The deciders of a run, by the names they have in its results."""

    chosen: str  # the one that the run is about: what it trains, or else the chosen scheduler
    learned: str | None = None  # the trained policy among them
    schedulers: dict[str, Any] = field(default_factory=dict)  # all that are made; see `trained` for the rest
    campaign: list[str] = field(default_factory=list)  # those that place tasks in a campaign
    compared: list[str] = field(default_factory=list)  # those that are evaluated
    shared: list[str] = field(default_factory=list)  # those evaluated by name and settings alone

    @classmethod
    def of(cls, resolved: Mapping[str, Any], *, lenient: bool = False) -> Roster:
        """Make the deciders of a resolved configuration.

        Args:
            resolved: From `qexp.config.schema.validate`.
            lenient: Whether those that cannot be made any more are left out, as in a report of an old run.

        Raises:
            InputError: One needs a package that is missing, cannot be read, or is for another environment.
        """
        algo, env = option_of(resolved, "algo"), option_of(resolved, "env")
        own = resolved["scheduler"]
        roster = cls(algo if algo != "none" else label(own, chosen=True))
        if algo != "none" or own[NAME] == POLICY:
            roster.learned = roster.chosen
        roster.compared.append(roster.chosen)
        if algo == "none":
            roster._add(roster.chosen, own, env, "scheduler", lenient=lenient)
        for key in ("eval.baselines", "deploy.schedulers"):
            section, _, part = key.partition(".")
            for _, node in entries(resolved[section].get(part) or []):
                name = roster.chosen if node == own else label(node)
                listed = roster.compared if section == "eval" else roster.campaign
                if name not in listed:
                    listed.append(name)
                if name != roster.chosen and name not in roster.schedulers:
                    roster._add(name, node, env, key, lenient=lenient)
        roster.campaign = roster.campaign or [roster.chosen]
        return roster

    def _add(self, name: str, node: Mapping[str, Any], env: str, key: str, *, lenient: bool) -> None:
        kind: Any = REGISTRY["scheduler"][node[NAME]]
        try:
            self.schedulers[name] = _made(node, env, key)
        except InputError:
            if not lenient:
                raise
            return
        if is_ours(kind) and node[NAME] != POLICY and name != self.chosen:
            self.shared.append(name)

    def trained(self, scheduler: Scheduler) -> None:
        """Take in what the run has trained."""
        self.schedulers = {self.chosen: scheduler, **self.schedulers}

    def rename(self) -> None:
        """Call the chosen one by its option alone, as version 0.1.0 did, whose lists meant it by that."""
        former, others = option_in(self.chosen), dict(self.schedulers)
        chosen = others.pop(self.chosen, None)
        if former == self.chosen or chosen is None:
            return
        others.pop(former, None)
        for listed in (self.compared, self.campaign):
            listed[:] = dict.fromkeys(former if name == self.chosen else name for name in listed)
        self.schedulers = {former: chosen, **others}
        self.shared = [name for name in self.shared if name != former]
        self.chosen = former

    @property
    def evaluated(self) -> dict[str, Any]:
        """Those that are compared, by name, in the order of their evaluation."""
        return {name: self.schedulers[name] for name in self.compared}

    @property
    def placing(self) -> dict[str, Any]:
        """All that can place real tasks, by name: the campaign's, and those that may shadow them."""
        return {name: one for name, one in self.schedulers.items() if not one.foresees}


def label(node: Mapping[str, Any], *, chosen: bool = False) -> str:
    """Return what a decider is called in results: its option, and each setting that is not the default.

    Args:
        node: Its resolved configuration.
        chosen: Whether the run is about it: a policy is then just that, whatever its path.
    """
    name = str(node[NAME])
    if chosen and name == POLICY:
        return name
    return " ".join([name, *_settings(node)])


def option_in(name: str) -> str:
    """Return the option of a decider's name, see `label`."""
    return name.partition(" ")[0]


def _settings(node: Mapping[str, Any]) -> Iterator[str]:
    known = keys(REGISTRY["scheduler"][node[NAME]])
    for key, value in node.items():
        if key not in {NAME, TARGET} and (known[key].required or not _same(value, known[key].default)):
            yield f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def _same(value: Any, default: Any) -> bool:
    """Tell whether a value is the default, which a class may have as a tuple and a file only as a list."""
    return bool(value == default) or json.dumps(value) == json.dumps(default, default=repr)


def _made(node: Mapping[str, Any], env: str, key: str) -> Scheduler:
    kind: Any = REGISTRY["scheduler"][node[NAME]]
    if not installed(kind):
        raise InputError(f"scheduler {node[NAME]} needs {kind.needs}: pip install 'qexp[exact]'")
    # An option knows its keys by its group; in a list of them they stand below its name.
    where = key if key == "scheduler" else f"{key}.{node[NAME]}"
    try:
        made = make(node, Scheduler)
    except InputError as error:
        raise InputError(re.sub(r"^scheduler(?=\.)", where, str(error))) from error
    if made.environment != env:
        shown = f"{where}.path: {node['path']} is a policy" if node[NAME] == POLICY else f"{where}: it is"
        raise InputError(f"{shown} for env={made.environment}, not {env}")
    return made
