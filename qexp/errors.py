"""The one exception a user's mistake turns into, so that the command line can tell it from a bug."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the config key, or the file and line, and what would be accepted.
    The command line prints it and exits with status 2.
    """
