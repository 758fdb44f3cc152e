"""No learning."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.option import option


@option("algo", "none")
@dataclass(kw_only=True)
class NoTraining:
    """Train nothing: evaluate the chosen scheduler."""
