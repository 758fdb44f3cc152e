"""The load that was there beside our own jobs, as the campaign met it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qexp.gap.measure.records import Record, column
from qexp.problem.arrays import Floats

ASSUMPTION = (
    "Price taker: the load of others on a machine is what it was in the same block, whatever we place there."
)


@dataclass(frozen=True)
class Load:
    """Foreign load as it was recorded, taken to be there whatever we do.

    Mean waits, seconds, that our own jobs do not explain. In a block they may be below 0, where our own jobs
    explain more than was waited; 0 in all blocks where they do so over the campaign.
    """

    waits: dict[tuple[int, str], float]  # by block and machine
    machines: dict[str, float]  # over all blocks, by machine; never below 0
    everywhere: float  # over all tasks, for machines that never had one
    delay: float  # mean time from arrival to acceptance, seconds; 0 without any

    @classmethod
    def of(cls, rows: Sequence[Record], foreign: Mapping[int, float]) -> Load:
        """Return the load that a campaign met.

        Args:
            rows: All records.
            foreign: Foreign wait by task, from `qexp.gap.measure.decomposition.decompose`.
        """
        by_block: dict[tuple[int, str], list[float]] = {}
        by_machine: dict[str, list[float]] = {}
        for row in rows:
            if row.id in foreign and row.node is not None:
                by_block.setdefault((row.block, row.node), []).append(foreign[row.id])
                by_machine.setdefault(row.node, []).append(foreign[row.id])
        machines = {key: _mean(values) for key, values in by_machine.items()}
        return cls(
            # Cut off at 0 block by block, the mean over the campaign would be more than was waited.
            {key: float(np.mean(w)) if machines[key[1]] else 0.0 for key, w in by_block.items()},
            machines,
            _mean(list(foreign.values())),
            float(d.mean()) if len(d := delays(rows)) else 0.0,
        )

    def seconds(self, block: int, names: Sequence[str]) -> Floats:
        """Return the foreign wait on each machine in a block, seconds, shape ``[machines]``.

        Args:
            block: Which.
            names: Of the machines.
        """
        return np.array(
            [self.waits.get((block, name), self.machines.get(name, self.everywhere)) for name in names]
        )


def delays(rows: Sequence[Record]) -> Floats:
    """Return the times from arrival to acceptance of the counted tasks, seconds, where they are known."""
    seconds = column([row for row in rows if row.split], "delay")
    return seconds[~np.isnan(seconds)]


def _mean(values: Sequence[float]) -> float:
    # Rounding in a sum of hours leaves some 1e-12 s where there was nothing.
    mean = float(np.mean(values)) if values else 0.0
    return mean if mean > 1e-6 else 0.0
