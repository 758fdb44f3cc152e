"""The default: nothing is deployed."""

from __future__ import annotations

from dataclasses import dataclass

from qexp.config.option import Configurable, group, option


@group("deploy")
class DeployOption(Configurable):
    """Where circuits run when they are let loose, if they are."""


@option("deploy", "none")
@dataclass
class NoDeployment(DeployOption):
    """Deploy nothing: the run ends with its evaluation."""
