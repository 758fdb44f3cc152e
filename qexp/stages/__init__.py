"""The parts of a run, in their order: train, evaluate, deploy, report.

Each refuses what it cannot do in `prepare`, before anything takes time, and does it in `run`.
"""

from qexp.stages.deploy import Deploy
from qexp.stages.evaluate import Evaluate
from qexp.stages.report import Report
from qexp.stages.stage import Stage, Work
from qexp.stages.train import Train

__all__ = ["Deploy", "Evaluate", "Report", "Stage", "Train", "Work"]
