"""``deploy=local``: circuits run on this computer, on noisy simulators in the machines' stead."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from annotated_types import Ge, Le
from typing_extensions import Doc

from qexp.circuits.compiled import known
from qexp.config.option import option
from qexp.deploy.deployment import Deployment
from qexp.deploy.executors.local.executor import LocalExecutor, MachineTime
from qexp.errors import InputError
from qexp.fleet.ibm import missing_extra
from qexp.fleet.machines import MACHINES
from qexp.placement.scenario import Scenario

WIDEST = 12
"""Qubits of the widest circuits that are sampled: the deep ones take minutes there."""


@option("deploy", "local")
@dataclass
class Local(Deployment):
    """Noisy simulators on this computer stand in for the machines: circuits really run, and cost nothing."""

    overhead: Annotated[
        float, Ge(0), Doc("Seconds of a job besides its repetitions; 2 s is IBM's documented estimate.")
    ] = 2.0
    jitter: Annotated[
        float, Ge(0), Doc("Standard deviation of the logarithm of a random factor, mean 1, on a job's time.")
    ] = 0.1
    max_width: Annotated[
        int,
        Ge(2),
        Le(WIDEST),
        Doc(
            "What env.workload.max_width is unless it is set, qubits; 2 to 12. Simulation takes four "
            "times as long with each qubit."
        ),
    ] = 8
    workers: Annotated[int, Ge(1), Le(256), Doc("Processes that sample; one more compiles.")] = 2

    def check(self, scenario: Scenario, circuits: Sequence[str]) -> None:
        """Raise `InputError` unless every circuit can be sampled and every machine has a stand-in.

        Args:
            scenario: The machines and their service times.
            circuits: Names of circuits.
        """
        try:
            from qexp.deploy.executors.local import noise  # noqa: F401
        except ModuleNotFoundError as error:
            raise missing_extra(error, "deploy") from error
        for node in scenario.fleet.nodes:
            if node.catalogue_machine not in MACHINES:
                raise InputError(
                    f"deploy=local: nothing stands in for node {node.name!r}: set its 'machine' to one of "
                    + ", ".join(MACHINES)
                )
        for name in circuits:
            if not known(name):
                raise InputError(
                    f"deploy=local: the circuit catalogue has no {name!r}, which the workload asks for; "
                    "use env/workload=qce or mqt50"
                )
            if int(name.rpartition("_")[2]) > WIDEST:
                raise InputError(
                    f"env.workload.max_width: {name} is too wide to be sampled here; deploy=local takes "
                    f"circuits of up to {WIDEST} qubits"
                )

    def executor(self, scenario: Scenario) -> LocalExecutor:
        """Return stand-ins for the fleet's machines."""
        return LocalExecutor(
            {node.name: node.catalogue_machine for node in scenario.fleet.nodes},
            MachineTime(self.overhead, self.jitter, self.seed),
            speed=None if self.clock == "real" else self.speed,
            compiling=partial(_processes, 1),
            sampling=partial(_processes, self.workers),
        )


def _processes(count: int) -> ProcessPoolExecutor:
    from qexp.deploy.executors.local.noise import enter_process

    # Spawned: forking a process that runs threads can deadlock.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=enter_process)
