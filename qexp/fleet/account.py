"""Accounts stay out of the configuration: Hydra would write them to disk, and trackers would log them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from qexp.errors import InputError

SECRET_KEYS = {"token", "crn", "instance", "apikey", "api_key", "iam_token", "access_token", "credentials"}
SECRET_VARIABLES = ("QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE")
# What accounts look like: a cloud resource name, an IBM Cloud API key, a JSON web token.
_LOOKS = re.compile(r"crn:v\d:|(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{44}(?![\w-])|\beyJ[\w-]+\.[\w-]+\.")


def refuse_secrets(arguments: Iterable[str]) -> None:
    """Raise `InputError` if a command line holds, or reads into the configuration, an account."""
    known = [value for name in SECRET_VARIABLES if len(value := os.environ.get(name, "")) >= 8]
    for argument in arguments:
        key, _, value = argument.lstrip("+~").partition("=")
        secret = (
            key.rpartition(".")[2].lower() in SECRET_KEYS
            or "oc.env:QISKIT_IBM" in argument
            or _LOOKS.search(argument) is not None
            or any(word in argument for word in known)
        )
        if secret:
            named = f"{key}: " if value and re.fullmatch(r"[\w./]{1,40}", key) else ""
            raise InputError(
                f"{named}accounts are not given on the command line, which is kept on disk: set "
                f"{' and '.join(SECRET_VARIABLES)}, or save one with the client "
                "(QiskitRuntimeService.save_account)"
            )
