"""Fidelity of counts to what a perfect machine would give, for circuits small enough to know that."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from qexp.gap.measure.fidelity import Scale, hellinger_fidelity, normalised_fidelity


def fidelities(circuit: str, counts: Mapping[str, int]) -> tuple[float, float | None] | None:
    """Return Hellinger fidelity, plain and normalised; None for a circuit whose ideal is not known.

    Args:
        circuit: Algorithm and width.
        counts: How often each bit string was measured.
    """
    from qexp.circuits.compiled import ideal_distribution, known

    ideal, shots = ideal_distribution(circuit) if known(circuit) else None, sum(counts.values())
    if not ideal or not shots:
        return None
    return hellinger_fidelity(counts, ideal), normalised_fidelity(counts, ideal, _scale(circuit, shots))


@lru_cache(maxsize=4096)
def _scale(circuit: str, shots: int) -> Scale:
    from qexp.circuits.compiled import ideal_distribution

    ideal = ideal_distribution(circuit)
    assert ideal is not None
    return Scale.of(ideal, shots)
