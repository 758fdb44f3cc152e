"""Fidelity of counts to what a perfect machine would give, for circuits small enough to know that."""

from __future__ import annotations

from collections.abc import Mapping


def fidelities(circuit: str, counts: Mapping[str, int]) -> tuple[float, float | None] | None:
    """Return Hellinger fidelity, plain and normalised; None for a circuit whose ideal is not known.

    Args:
        circuit: Algorithm and width.
        counts: How often each bit string was measured.
    """
    from qexp.deploy.circuits import ideal_distribution, known
    from qexp.deploy.fidelity import hellinger_fidelity, normalised_fidelity

    ideal = ideal_distribution(circuit) if known(circuit) else None
    if not ideal or not sum(counts.values()):
        return None
    return hellinger_fidelity(counts, ideal), normalised_fidelity(counts, ideal)
