"""A Ray cluster of two nodes on this machine: a head with one CPU, and a worker with two."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

RAY = Path(sys.executable).with_name("ray")
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A dead node is noticed within seconds instead of half a minute.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
    "RAY_health_check_timeout_ms": "2000",
}


class Cluster:
    """Starts and kills the nodes, each a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        self.head = self._start(
            *("--head", f"--port={port}", "--num-cpus=1"),
            *(f"--temp-dir={folder}", "--include-dashboard=false"),
        )
        self.worker: subprocess.Popen[bytes] | None = None

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [RAY, "start", "--block", "--node-ip-address=127.0.0.1", "--object-store-memory=90000000"]
        log = self.folder / f"{len(list(self.folder.glob('*.log')))}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,
            )
        patience = time.monotonic() + 60
        while b"Ray runtime started" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > patience:
                self._kill(process)
                raise RuntimeError(f"ray start failed:\n{log.read_text()}")
            time.sleep(0.2)
        return process

    def with_worker(self) -> None:
        """Start the worker node unless it runs."""
        if self.worker is None or self.worker.poll() is not None:
            self.worker = self._start(f"--address={self.address}", "--num-cpus=2")

    def stop(self) -> None:
        """End what was started, and nothing else."""
        for process in (self.worker, self.head):
            if process is not None:
                self._kill(process)

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
