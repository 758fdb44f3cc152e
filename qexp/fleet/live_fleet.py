"""The machines that an IBM Quantum account sees at this moment."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, ClassVar

from annotated_types import Gt, Le
from typing_extensions import Doc

from qexp.config.option import option
from qexp.fleet.fleet import Fleet, FleetSource, QNode

log = logging.getLogger(__name__)


@option("backend", "ibm")
@dataclass(frozen=True)
class LiveFleet(FleetSource):
    """The machines that your IBM Quantum account sees now."""

    fixed: ClassVar[bool] = False

    timeout: Annotated[float, Gt(0), Le(3600), Doc("The longest wait for the service, seconds.")] = 120.0

    def load(self) -> Fleet:
        """Read the machines.

        Raises:
            InputError: No account, a refused one, no connection, no answer in time, or no machine.
        """
        from qexp.fleet.ibm import ask, live_nodes

        notes: list[str] = []
        taken = datetime.now(UTC).replace(microsecond=0)
        nodes = ask(lambda: live_nodes(notes), self.timeout, "backend.timeout")
        for note in notes:
            log.warning("%s", note)
        return Fleet("ibm", tuple(QNode.model_validate(node) for node in nodes), taken)
