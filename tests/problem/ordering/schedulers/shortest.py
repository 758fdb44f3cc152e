"""The shortest first."""

from dataclasses import dataclass

from qexp.config.option import option
from qexp.problem.scheduler import Scheduler


@option("scheduler")
@dataclass
class Shortest(Scheduler):
    """Jobs: the shortest first."""

    environment = "ordering"

    def select(self, lengths):
        return int(lengths.argmin())
