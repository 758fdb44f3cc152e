"""Who decides: heuristics, the clairvoyant reference, and learned policies."""

from qexp.scheduler.planning import PlanningScheduler
from qexp.scheduler.policy import A2CPolicyScheduler, DQNPolicyScheduler, PolicyScheduler
from qexp.scheduler.scheduler import RankingScheduler, Scheduler

__all__ = [
    "A2CPolicyScheduler",
    "DQNPolicyScheduler",
    "PlanningScheduler",
    "PolicyScheduler",
    "RankingScheduler",
    "Scheduler",
]
