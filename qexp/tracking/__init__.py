"""Recording of runs: their settings, figures, files and policies, in MLflow or only in the run folder.

Only this package imports MLflow, and only when a run is tracked. MLflow is driven through its client, never
through its process-wide "active run": a run inside somebody's notebook leaves their MLflow as it was.
"""

from qexp.tracking.journal import WATCHER, StoppedEarly, Tracker
from qexp.tracking.local import Local
from qexp.tracking.off import Off
from qexp.tracking.server import Server
from qexp.tracking.tracking import Tracking

__all__ = ["WATCHER", "Local", "Off", "Server", "StoppedEarly", "Tracker", "Tracking"]
