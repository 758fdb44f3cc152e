"""Ray, started quietly for as long as a training run needs it and never longer.

RLlib wants a running Ray even when nothing is remote. Every run gets a Ray of its own in a temporary
folder, so runs side by side do not meet. With an address it joins an existing cluster instead, and only
leaves that one at the end; a Ray that this process is already part of is used as it is.
"""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

from qexp.algo.cluster import join

QUIET_ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",  # a Ray of our own; a cluster that wants tokens has it set to "token"
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}
"""Read by Ray at import: without them it warns, or reports usage, at every start."""

LOG_LEVELS = {
    "ray": logging.ERROR,
    "ray.rllib": logging.ERROR,
    "ray.tune": logging.ERROR,
    # A page for every lost environment runner; LockstepAlgorithm.collect says it in a line.
    "ray.rllib.utils.actor_manager": logging.CRITICAL,
}

OBJECT_STORE_BYTES = 128 * 1024**2
LONGEST_TEMPORARY_FOLDER = 24
"""Ray puts Unix sockets some 65 characters below its folder, and their paths end at 107."""


@contextmanager
def ray_session(num_env_runners: int = 0, address: str | None = None) -> Iterator[None]:
    """Run the block with Ray, and shut down on the way out whatever was started on the way in.

    Args:
        num_env_runners: Remote environment runners that must find a place.
        address: Cluster to join, ``auto`` or ``HOST:PORT``; by default that of ``RAY_ADDRESS``, if any.

    Raises:
        InputError: No cluster answers at the address, or it is no use.
    """
    for key, value in QUIET_ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    import ray

    with warnings.catch_warnings(), _log_levels(LOG_LEVELS):
        warnings.filterwarnings("ignore", module=r"ray\.")
        if ray.is_initialized():
            yield
            return
        key = "ray.address" if address else "RAY_ADDRESS"
        address = address or os.environ.get("RAY_ADDRESS")
        with ExitStack() as stack:
            keep_sigterm = stack.enter_context(_sigterm_kept())
            if address:
                stack.callback(ray.shutdown)
                join(address, key, num_env_runners)
            else:
                parent = tempfile.gettempdir()
                if len(parent) > LONGEST_TEMPORARY_FOLDER:
                    parent = "/tmp"  # noqa: S108 -- the folder below it is private
                scratch = TemporaryDirectory(prefix="qexp-ray-", dir=parent, ignore_cleanup_errors=True)
                folder = stack.enter_context(scratch)
                stack.callback(ray.shutdown)
                _start(num_env_runners, folder)
            keep_sigterm()
            yield


def _start(num_env_runners: int, folder: str) -> None:
    import ray

    ray.init(
        address="local",
        num_cpus=num_env_runners + 1,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES * min(num_env_runners + 1, 16),
        _temp_dir=folder,
        # Idle worker processes would take start-up time and memory that a local run never uses.
        _system_config={"enable_worker_prestart": False, "prestart_worker_first_driver": False},
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


@contextmanager
def _log_levels(levels: Mapping[str, int]) -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in levels}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, old in before.items():
            logging.getLogger(name).setLevel(old)


@contextmanager
def _sigterm_kept() -> Iterator[Callable[[], None]]:
    """Keep SIGTERM the process's own; call what is yielded once Ray has put its handler in place.

    Ray's prints a stack and aborts, and nothing would be cleaned up. Where the process has no handler, the
    signal ends the block like an interrupt does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.getsignal(signal.SIGTERM)

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    def keep() -> None:
        signal.signal(signal.SIGTERM, before if callable(before) else end)

    try:
        yield keep
    finally:
        # None stands for a handler that was not installed from Python and cannot be put back.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
