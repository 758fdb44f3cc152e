"""First come, first served."""

from dataclasses import dataclass

from qexp.config.option import option
from qexp.problem.scheduler import Scheduler


@option("scheduler")
@dataclass
class InOrder(Scheduler):
    """Jobs: as they came."""

    environment = "ordering"

    def select(self, lengths):
        return 0
