"""The options that ship with qexp: importing this module registers them all."""

import importlib
import pkgutil

MODULES = (
    "qexp.backend.fleet",
    "qexp.backend.synthetic",
    "qexp.backend.live_fleet",
    "qexp.workload.catalogue",
    "qexp.workload.csv_file",
    "qexp.env.scenario",
    "qexp.env.gate_scenario",
    # In the order in which they are compared; those that come by their package follow.
    "qexp.scheduler.random",
    "qexp.scheduler.round_robin",
    "qexp.scheduler.greedy",
    "qexp.scheduler.greedy_error",
    "qexp.scheduler.least_busy",
    "qexp.scheduler.mct",
    "qexp.scheduler.met",
    "qexp.scheduler.fidelity",
    "qexp.scheduler.weighted",
    "qexp.scheduler.clairvoyant",
    "qexp.scheduler.asap",
    "qexp.scheduler.alap",
    "qexp.scheduler.critical_path",
    "qexp.scheduler.randomised_critical_path",
    "qexp.scheduler.cp_sat",
    "qexp.algo.config",
    "qexp.deploy.none",
    "qexp.deploy.simulator",
    "qexp.deploy.ibm",
    "qexp.deploy.local",
    "qexp.tracking",
)
"""Light, all of them: NumPy at most."""

PACKAGES = (
    "qexp.workload.arrivals",
    "qexp.workload.service_time",
    "qexp.env.reward",
    "qexp.gates.circuits",
    "qexp.scheduler",
)
"""Packages all of whose modules are light: a new file in one is a new option."""

for _name in MODULES:
    importlib.import_module(_name)
for _package in PACKAGES:
    for _module in pkgutil.iter_modules(importlib.import_module(_package).__path__):
        importlib.import_module(f"{_package}.{_module.name}")
