"""No learning."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import Configurable, group, option


@group("algo")
class AlgoOption(Configurable):
    """How a policy is trained, if any is."""


@option("algo", "none")
@dataclass(kw_only=True)
class NoTraining(AlgoOption):
    """Train nothing: evaluate the chosen scheduler."""
