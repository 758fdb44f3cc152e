"""No learning."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.algo.algo_option import AlgoOption
from qexp.config.option import option


@option("algo", "none")
@dataclass(kw_only=True)
class NoTraining(AlgoOption):
    """Train nothing: evaluate the chosen scheduler."""
