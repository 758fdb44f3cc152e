"""The default: nothing is deployed."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import option
from qexp.deploy.deployment import DeployOption


@option("deploy", "none")
@dataclass
class NoDeployment(DeployOption):
    """Deploy nothing: the run ends with its evaluation."""
