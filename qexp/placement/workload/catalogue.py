"""The two workloads that draw from the catalogue of circuits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from typing_extensions import Doc

from qexp.circuits.catalogue import Catalogue, Key, load_catalogue
from qexp.config.option import Follows, option
from qexp.errors import InputError
from qexp.fleet.fleet import Fleet
from qexp.placement.workload.workload import Circuits, Workload


@dataclass
class CatalogueWorkload(Workload):
    """Tasks drawn uniformly, with replacement, from a part of the catalogue."""

    min_width: Annotated[int, Ge(1), Doc("Narrowest circuits to use, in qubits.")] = 2
    max_width: Annotated[
        int,
        Ge(1),
        Follows("deploy.max_width", optional=True),
        Doc("Widest circuits to use, in qubits: 27, or what deploy=local says."),
    ] = 27
    families: Annotated[list[str], Doc("Families to use, for example [ghz,qft]; empty for all of them.")] = (
        field(default_factory=list)
    )
    shots: Annotated[int, Ge(1), Doc("Repetitions of every circuit.")] = 1024

    set_families: ClassVar[Sequence[str] | None] = None

    def circuits(self, fleet: Fleet) -> Circuits:
        """Return the selected circuits as compiled for a fleet, see `Workload.circuits`."""
        catalogue = load_catalogue()
        keys = self._select(catalogue)
        shape = (len(keys), len(fleet))
        depth, duration = np.full(shape, np.nan), np.full(shape, np.nan)
        esp = np.zeros(shape)
        for n, node in enumerate(fleet.nodes):
            table = catalogue.compiled.get(node.catalogue_machine)
            if table is None:
                raise InputError(
                    f"backend: node {node.name!r} has no compiled circuits: set its 'machine' to one of "
                    + ", ".join(catalogue.machines)
                )
            for c, key in enumerate(keys):
                if key[1] <= node.qubits and (row := table.get(key)):
                    depth[c, n], duration[c, n], esp[c, n] = row.depth, row.duration, 10.0**row.log10_esp
        feasible = ~np.isnan(depth)
        if lost := int((~feasible.any(axis=1)).sum()):
            raise InputError(
                f"env.workload.max_width: {lost} of {len(keys)} circuits fit no machine of fleet "
                f"{fleet.name!r}; its widest has {fleet.qubits.max()} qubits: set env.workload.max_width"
            )
        return Circuits(
            names=[f"{algorithm}_{width}" for algorithm, width in keys],
            width=np.array([width for _, width in keys], dtype=np.int64),
            depth=np.array([catalogue.logical_depth[key] for key in keys], dtype=np.int64),
            feasible=feasible,
            compiled_depth=depth,
            duration=duration,
            esp=esp,
        )

    def _select(self, catalogue: Catalogue) -> list[Key]:
        known = list(self.set_families or catalogue.families)
        for name in self.families:
            if name not in known:
                raise InputError(f"env.workload.families: unknown family {name!r}; known: {', '.join(known)}")
        wanted = set(self.families or known)
        keys = sorted(
            key
            for key in catalogue.logical_depth
            if key[0] in wanted and self.min_width <= key[1] <= self.max_width
        )
        if not keys:
            raise InputError(
                f"env.workload: no circuit has {self.min_width} to {self.max_width} qubits; "
                "change env.workload.min_width or env.workload.max_width"
            )
        return keys


@option("env/workload")
@dataclass
class QCE(CatalogueWorkload):
    """The papers' circuits: twelve MQT Bench families, 2 to 27 qubits, drawn uniformly."""

    set_families: ClassVar[Sequence[str] | None] = (
        *("ae", "dj", "ghz", "qft", "qftentangled", "qnn", "qpeexact", "qpeinexact", "randomcircuit"),
        *("vqe_real_amp", "vqe_su2", "vqe_two_local"),
    )


@option("env/workload")
@dataclass
class MQT50(CatalogueWorkload):
    """All families of the catalogue, up to 50 qubits, drawn uniformly."""

    max_width: Annotated[
        int,
        Ge(1),
        Follows("deploy.max_width", optional=True),
        Doc("Widest circuits to use, in qubits: 50, or what deploy=local says."),
    ] = 50
