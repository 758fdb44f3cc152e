"""What every option of the group ``deploy`` is."""

from qexp.config.option import Configurable, group


@group("deploy")
class DeployOption(Configurable):
    """Where circuits run when they are let loose, if they are."""
