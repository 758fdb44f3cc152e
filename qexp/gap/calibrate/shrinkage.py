"""Curves per machine, drawn towards the fleet's where a machine has few jobs, and chosen by held-out error.

A machine's curve is fitted to its own jobs and, with the weight of a few jobs, to everybody's: with no job of
its own it is the fleet's curve, with many its own (partial pooling; A. Gelman et al., "Bayesian Data
Analysis", 2013, chapter 5). Which family of curves, and how many jobs the fleet's is worth, is decided by
cross-validation on the same jobs, in favour of the simplest that is nearly the best (as L. Breiman et al.,
"Classification and Regression Trees", 1984, section 3.4.3, prune trees).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qexp.gap.calibrate.curves import NEUTRAL, Family, Parameters
from qexp.problem.arrays import Bools, Floats, Ints

FOLDS = 5
PRIORS = (float("inf"), 32.0, 8.0, 2.0)
"""How many jobs the fleet's curve may be worth; infinite: machines have no curves of their own."""
NEARLY = 0.02
"""A simpler model is preferred if its held-out error is larger by at most this share."""
FEWEST = 5
"""Of fewer jobs nothing is learnt."""


@dataclass(frozen=True)
class Jobs:
    """Jobs that models are fitted to."""

    machine: Ints  # index of each job's machine, [jobs]
    x: dict[str, Floats]  # values that curves may read, by name, NaN where unknown, [jobs] each
    y: Floats  # measured, [jobs]

    def __len__(self) -> int:
        return len(self.y)

    def at(self, which: Bools) -> Jobs:
        """Return some of the jobs."""
        return Jobs(self.machine[which], {key: x[which] for key, x in self.x.items()}, self.y[which])


@dataclass(frozen=True)
class Model:
    """A curve for every machine.

    Errors are held-out ones in cross-validation, as a share of the mean: mean absolute error, which single
    jobs are predicted with, + absolute mean error, which sums have.
    """

    family: Family
    prior: float  # how many jobs the fleet's curve is worth
    fleet: Parameters  # the fleet's curve
    machines: tuple[Parameters, ...]  # each machine's own, in the fleet's order
    jobs: tuple[int, ...]  # how many jobs of each machine it was fitted to
    error: float | None = None
    error_as_predicted: float | None = None  # without any fit

    def of(self, machine: Ints, x: Floats) -> Floats:
        """Return the predictions for jobs, see `Jobs`, shape ``[jobs]``.

        Args:
            machine: Index of each job's machine, ``[jobs]``.
            x: The figure that the family reads, ``[jobs]``.
        """
        predicted = np.empty(len(x))
        for index, parameters in enumerate(self.machines):
            mine = machine == index
            predicted[mine] = self.family.curve(parameters, x[mine])
        return predicted


def choose(families: Sequence[Family], jobs: Jobs, machines: int) -> Model:
    """Fit the model that predicts held-out jobs best.

    Args:
        families: Simplest first; the first changes nothing.
        jobs: In order of time.
        machines: How many there are.
    """
    unchanged = fit(families[0], jobs, machines, PRIORS[0])
    if len(jobs) < FEWEST:
        return unchanged
    candidates = [
        (family, prior)
        for prior in PRIORS
        for family in families
        if not np.isnan(jobs.x[family.reads]).any() and (family.fit is not None or prior == PRIORS[0])
    ]
    errors = [_held_out(family, jobs, machines, prior) for family, prior in candidates]
    enough = min(errors) * (1 + NEARLY) + 1e-9
    best = next(k for k, error in enumerate(errors) if error <= enough)
    family, prior = candidates[best]
    model = fit(family, jobs, machines, prior)
    return replace(model, error=errors[best], error_as_predicted=errors[0])


def fit(family: Family, jobs: Jobs, machines: int, prior: float) -> Model:
    """Fit one family with one prior.

    Args:
        family: Of curves.
        jobs: In order of time.
        machines: How many there are.
        prior: How many jobs the fleet's curve is worth.
    """
    counts = tuple(np.bincount(jobs.machine, minlength=machines).tolist())
    if family.fit is None:
        return Model(family, prior, NEUTRAL, (NEUTRAL,) * machines, counts)
    x, fit_curve = jobs.x[family.reads], family.fit
    fleet = fit_curve(x, jobs.y, np.ones(len(jobs)))
    predicted = family.curve(fleet, x)

    def own(machine: int) -> Parameters:
        mine = jobs.machine == machine
        if np.isinf(prior) or not mine.any():
            return fleet
        others = np.full(len(jobs), prior / len(jobs))
        if family.grows:
            # A long job says more of the curve than a short one: the fleet's long ones must not drown these.
            typical = max(float(jobs.y[mine].mean()), 1e-9)
            others *= typical / np.maximum(predicted, typical)
        return fit_curve(x, jobs.y, mine + others)

    return Model(family, prior, fleet, tuple(map(own, range(machines))), counts)


def _held_out(family: Family, jobs: Jobs, machines: int, prior: float) -> float:
    """Return how wrong a model is on jobs that were left out of its fit, see `Model.error`."""
    folds = np.arange(len(jobs)) % FOLDS
    errors = np.empty(len(jobs))
    for fold in range(FOLDS):
        out = folds == fold
        model, left = fit(family, jobs.at(~out), machines, prior), jobs.at(out)
        errors[out] = left.y - model.of(left.machine, left.x[family.reads])
    wrong = float(np.abs(errors).mean() + np.abs(errors.mean()))
    mean = float(np.abs(jobs.y).mean())
    return wrong / mean if mean > 0 else wrong
