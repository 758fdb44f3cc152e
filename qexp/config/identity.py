"""What a configuration is, wherever its classes live: names of options, values, and a hash of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from qexp.config.option import NAME, REGISTRY, TARGET, Chosen

NO_RESULT = ("tracking", "ray", "sweep", "resume")
"""Root keys that say where and under what name a run happens, and change nothing of what it finds."""

LIMITS = ("confirm", "max_jobs", "max_quantum_seconds", "patience")
"""Keys of a campaign that say how far it may go, and may be changed when it is resumed."""

FORMER_TARGETS = {
    "qexp.backend.fleet.FleetFile": "file",  # or the fleet that its path names
    "qexp.backend.fleet.NoFleet": "none",
    "qexp.backend.synthetic.Synthetic": "synthetic",
    "qexp.backend.live_fleet.LiveFleet": "ibm",
    "qexp.workload.catalogue.QCE": "qce",
    "qexp.workload.catalogue.MQT50": "mqt50",
    "qexp.workload.csv_file.CSV": "csv",
    "qexp.workload.arrivals.uniform.Uniform": "uniform",
    "qexp.workload.arrivals.poisson.Poisson": "poisson",
    "qexp.workload.arrivals.qsimpy.QSimPy": "qsimpy",
    "qexp.workload.service_time.clops_depth.ClopsDepth": "clops_depth",
    "qexp.workload.service_time.repetition_delay.RepetitionDelay": "repetition_delay",
    "qexp.env.reward.completion.Completion": "completion",
    "qexp.env.reward.inverse.Inverse": "inverse",
    "qexp.env.reward.weighted.Weighted": "weighted",
    "qexp.env.scenario.Scenario": "placement",
    "qexp.env.gate_scenario.GateScheduling": "gate_scheduling",
    "qexp.gates.circuits.basic.Basic": "basic",
    "qexp.gates.circuits.workshop.Workshop": "workshop",
    "qexp.gates.circuits.mqt.MQT": "mqt",
    "qexp.gates.circuits.qasm.QASM": "qasm",
    "qexp.scheduler.policy.PolicyScheduler": "policy",
    "qexp.scheduler.random.Random": "random",
    "qexp.scheduler.round_robin.RoundRobin": "round_robin",
    "qexp.scheduler.greedy.Greedy": "greedy",
    "qexp.scheduler.greedy_error.GreedyError": "greedy_error",
    "qexp.scheduler.least_busy.LeastBusy": "least_busy",
    "qexp.scheduler.mct.MCT": "mct",
    "qexp.scheduler.met.MET": "met",
    "qexp.scheduler.fidelity.Fidelity": "fidelity",
    "qexp.scheduler.weighted.Weighted": "weighted",
    "qexp.scheduler.clairvoyant.Clairvoyant": "clairvoyant",
    "qexp.scheduler.asap.ASAP": "asap",
    "qexp.scheduler.alap.ALAP": "alap",
    "qexp.scheduler.critical_path.CriticalPath": "critical_path",
    "qexp.scheduler.randomised_critical_path.RandomisedCriticalPath": "randomised_critical_path",
    "qexp.scheduler.cp_sat.CPSAT": "cp_sat",
    "qexp.algo.config.NoTraining": "none",
    "qexp.algo.config.A2C": "a2c",
    "qexp.algo.config.DQN": "dqn",
    "qexp.deploy.none.NoDeployment": "none",
    "qexp.deploy.simulator.Simulator": "simulator",
    "qexp.deploy.ibm.IBM": "ibm",
    "qexp.deploy.local.Local": "local",
    "qexp.tracking.local.Local": "local",
    "qexp.tracking.off.Off": "off",
    "qexp.tracking.server.Server": "server",
}
"""Names of the options that configurations of version 0.1 called by the paths of their classes."""


def with_names(config: Any) -> Any:
    """Return a plain configuration in which options go by their names, whatever version wrote it."""
    if isinstance(config, list):
        return [with_names(value) for value in config]
    if not isinstance(config, Mapping):
        return config
    node = {str(key): with_names(value) for key, value in config.items()}
    former = None if NAME in node else FORMER_TARGETS.get(str(node.get(TARGET)))
    if former is None:
        return node
    if former == "file" and node.get("path") in REGISTRY["backend"]:
        former = node["path"]
    return {NAME: former} | {key: value for key, value in node.items() if key != TARGET}


def is_former(config_file: Path) -> bool:
    """Tell whether a run's config.yaml is of version 0.1.0, which knew options by the paths of classes."""
    try:
        written = yaml.safe_load(config_file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return False
    return isinstance(written, dict) and NAME not in (written.get("env") or {})


def names_with_values(base: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flat configuration, by dotted key, in which options go by their names, see `with_names`."""
    named = {}
    for key, value in base.items():
        parent, _, last = key.rpartition(".")
        if last == TARGET and str(value) in FORMER_TARGETS:
            name = FORMER_TARGETS[str(value)]
            path = base.get(f"{parent}.path")
            key, value = f"{parent}.{NAME}", path if name == "file" and path in REGISTRY["backend"] else name  # noqa: PLW2901
        named[key] = value
    return named


def option_of(resolved: Mapping[str, Any], group: str) -> str:
    """Return the name of the option chosen for a group."""
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
    relevant["deploy"] = {key: value for key, value in resolved["deploy"].items() if key not in LIMITS}
    text = json.dumps(_without_places(relevant), sort_keys=True)
    return "sha256:" + sha256(text.encode()).hexdigest()


def _without_places(node: Any, *, named: bool = False) -> Any:
    """Leave out the paths of classes that have names."""
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
    """Return the values of nested mappings by dotted key."""
    values: dict[str, Any] = {}
    for key, value in node.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return values
