"""The default: nothing is deployed."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.option import option


@option("deploy", "none")
@dataclass
class NoDeployment:
    """The run ends with its evaluation."""
