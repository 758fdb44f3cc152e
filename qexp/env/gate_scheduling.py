"""`qexp.gates.qgym` by the name that scripts import it by."""

from qexp.gates.qgym import *  # noqa: F403 -- its names, all of them
from qexp.gates.qgym import __all__  # noqa: F401
