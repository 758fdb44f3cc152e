"""By what an environment's schedulers are compared: what reports know about a decision problem."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A figure of an episode, lower is better, and who is measured against whom.

    Attributes:
        environment: Name of the option of the group ``env``.
        column: The figure's column in episodes.csv.
        title: What it is called in sentences.
        unit: Its unit.
        reference: The scheduler that all others are measured against.
        ideal: The scheduler that knows more or takes longer than one in use could: the best there is.
        decisions: What a learner's steps are, in the plural.
        details: The file with a row for each task of an episode, of a circuit each gate.
        counted: Another column of episodes.csv, whose mean is shown, or None.
        counted_title: Heading of that mean.
        ratio: Column of the figure over the optimum, where that is what it should be read as, or None.
    """

    environment: str
    column: str
    title: str
    unit: str
    reference: str
    ideal: str
    decisions: str
    details: str
    counted: str | None = None
    counted_title: str = ""
    ratio: str | None = None
