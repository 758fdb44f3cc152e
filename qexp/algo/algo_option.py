"""What every option of the group ``algo`` is."""

from qexp.config.option import Configurable, group


@group("algo")
class AlgoOption(Configurable):
    """How a policy is trained, if any is."""
