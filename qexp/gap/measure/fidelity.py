"""The fidelity of measured counts to the ideal distribution of a circuit.

Outcomes are bit strings, with counts or with probabilities, which need not sum to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from qexp.problem.arrays import Floats

LARGEST_SPREAD = 0.1
"""Standard deviation, on the normalised scale, up to which the fidelity of a single job is reported.

A tenth of the way from noise to perfection: with more, a job's figure would say less of the machine than of
its luck, and a few such circuits would outweigh all others in a fit.
"""


def hellinger_fidelity(measured: Mapping[str, float], ideal: Mapping[str, float]) -> float:
    """Return the Hellinger fidelity of two distributions, (sum over x of sqrt(p(x) q(x)))^2.

    It is the classical fidelity of the two, and (1 - H^2)^2 of their Hellinger distance H (E. Hellinger,
    "Neue Begründung der Theorie quadratischer Formen von unendlichvielen Veränderlichen", J. reine angew.
    Math. 136, 1909).

    Args:
        measured: Counts or probabilities by outcome.
        ideal: The same of a perfect machine.

    Raises:
        ValueError: One of them is empty.
    """
    outcomes = list(measured.keys() & ideal.keys())
    p = np.array([measured[outcome] for outcome in outcomes]) / _total(measured)
    q = np.array([ideal[outcome] for outcome in outcomes]) / _total(ideal)
    # Rounding may carry the sum past 1 where both are the same.
    return min(1.0, float(np.sqrt(p * q).sum()) ** 2)


@dataclass(frozen=True)
class Scale:
    """Hellinger fidelities to a circuit's ideal distribution that a number of shots can reach.

    A perfect machine does not reach 1 in a finite number of shots, nor does noise stay at the fidelity of its
    distribution, least where there are many outcomes.
    """

    noise: float  # mean of counts drawn from the uniform distribution over all bit strings
    perfect: float  # mean of counts drawn from the ideal distribution
    spread: float  # the larger standard deviation of the two, of a single job

    @classmethod
    def of(cls, ideal: Mapping[str, float], shots: int, *, seed: int = 0) -> Self:
        """Return the scale of a circuit, from 400 simulated jobs of each kind; of a wide one, 25.

        Args:
            ideal: Probabilities by outcome; all its keys have the same length, which is the number of bits.
            shots: Repetitions of a job.
            seed: Of the simulated jobs.

        Raises:
            ValueError: There are no outcomes or no shots.
        """
        if shots < 1:
            raise ValueError("a distribution without any outcome")
        rng = np.random.default_rng(seed)
        p = np.array(list(ideal.values())) / _total(ideal)
        # All outcomes that are not possible are drawn as one: none of them counts.
        uniform = np.full(len(p), 0.5 ** len(next(iter(ideal))))
        uniform = np.append(uniform, max(0.0, 1.0 - uniform.sum()))
        draws = min(400, max(25, 2**20 // len(p)))  # a second at most

        def fidelities(q: Floats) -> Floats:
            # One job at a time: of a circuit of 16 qubits, all would be gigabytes.
            jobs = (rng.multinomial(shots, q / q.sum())[: len(p)] for _ in range(draws))
            return np.array([np.sqrt(counts / shots) @ np.sqrt(p) for counts in jobs]) ** 2

        noise, perfect = fidelities(uniform), fidelities(p)
        return cls(float(noise.mean()), float(perfect.mean()), float(max(noise.std(), perfect.std())))

    @property
    def separates(self) -> bool:
        """True if a single job separates signal from noise, see `LARGEST_SPREAD`."""
        return self.spread <= LARGEST_SPREAD * (self.perfect - self.noise)


def normalised_fidelity(
    measured: Mapping[str, int], ideal: Mapping[str, float], scale: Scale | None = None
) -> float | None:
    """Return the Hellinger fidelity where 0 is what noise alone reaches and 1 what a perfect machine does.

    None where so many shots do not separate signal from noise, see `Scale.separates`.

    (F - U) / (P - U), where U and P are the mean fidelities of as many shots on a machine that gives every
    bit string alike, and on a perfect one. Both are means, so a job may lie beyond: a little above 1, and
    below 0 where outcomes are worse than noise. With infinitely many shots P is 1, as in the
    normalisation of T. Lubinski et al., "Application-Oriented Performance Benchmarks for Quantum Computing",
    IEEE Trans. Quantum Eng. 4, 2023, arXiv:2110.03137.

    Args:
        measured: Counts by outcome.
        ideal: Probabilities on a perfect machine, see `Scale.of`.
        scale: That of the circuit and so many shots, if it is known.

    Raises:
        ValueError: One of them is empty.
    """
    scale = scale or Scale.of(ideal, int(sum(measured.values())))
    if not scale.separates:
        return None
    return (hellinger_fidelity(measured, ideal) - scale.noise) / (scale.perfect - scale.noise)


def _total(distribution: Mapping[str, float]) -> float:
    total = float(sum(distribution.values()))
    if not total > 0:
        raise ValueError("a distribution without any outcome")
    return total


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
