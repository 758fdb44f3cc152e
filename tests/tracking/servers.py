"""Real servers on loopback: PostgreSQL from Debian's packages and MLflow, each ended with all it started."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

USER, PASSWORD = "admin", "for these tests only"
PATIENCE = 180.0  # seconds until a server has to be up: MLflow's takes ten where nothing else runs


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def end(process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> None:
    """End a process that leads its own group, and every process in that group."""
    try:
        os.killpg(process.pid, how)
        process.wait(timeout=20)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def postgres(*databases: str) -> Iterator[str]:
    """Run a private PostgreSQL, and give the address of its databases, without their name."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    binary = shutil.which("initdb") or (str(found[-1]) if found else None)
    if binary is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    programs = Path(binary).resolve().parent
    # PostgreSQL refuses to run as root.
    user = next((u for u in ("postgres", "nobody") if _exists(u)), None) if os.geteuid() == 0 else None
    as_user = {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="qexp-postgres-"))  # pytest's own folders are closed to other users
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", str(free_port())
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, **as_user}
    try:
        initdb = [programs / "initdb", "-D", data, "-U", "mlflow", "--auth=trust", "--no-sync", "--locale=C"]
        subprocess.run([*initdb, "--encoding=UTF8"], check=True, **quiet)
        settings = (
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "max_connections=200",
        )
        flags = [part for setting in settings for part in ("-c", setting)]
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-p", str(port), *flags],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **quiet,
        )
        try:
            address = ["-h", "127.0.0.1", "-p", port, "-U", "mlflow"]
            deadline = time.monotonic() + PATIENCE
            while subprocess.run([programs / "pg_isready", *address], check=False, **quiet).returncode:
                assert server.poll() is None, "PostgreSQL ended while starting"
                assert time.monotonic() < deadline, "PostgreSQL does not start"
                time.sleep(0.1)
            for database in databases:
                subprocess.run([programs / "createdb", *address, database], check=True, **quiet)
            yield f"postgresql+psycopg://mlflow@127.0.0.1:{port}"
        finally:
            end(server, signal.SIGINT)
    finally:
        shutil.rmtree(folder)


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


@dataclass
class MlflowServer:
    """An MLflow server that can be killed and started again at the same address.

    Attributes:
        folder: For its artifacts and its log.
        store: Address of its database.
        auth_store: Address of its users' database; None leaves basic authentication off.
    """

    folder: Path
    store: str
    auth_store: str | None = None
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")[-3000:]

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        command = [
            Path(sys.executable).parent / "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            self.port,
        ]
        command += [
            "--backend-store-uri",
            self.store,
            "--artifacts-destination",
            self.artifacts,
            "--workers",
            2,
        ]
        settings: dict[str, str] = {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # It would start a dozen processes for jobs, of which tracking has none.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        if self.auth_store is not None:
            command += ["--app-name", "basic-auth"]
            settings |= self._authentication(self.auth_store)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.folder,
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self.process.poll() is None, f"the MLflow server ended while starting:\n{self.log}"
            assert time.monotonic() < deadline, f"the MLflow server does not start:\n{self.log}"
            time.sleep(0.2)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            end(self.process, signal.SIGKILL)
            self.process = None

    def _authentication(self, store: str) -> Mapping[str, str]:
        config = self.folder / "basic_auth.ini"
        config.write_text(
            "[mlflow]\n"
            f"database_uri = {store}\n"
            f"admin_username = {USER}\n"
            "default_permission = READ\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "auth_cache_ttl_seconds = 60\n"
        )
        return {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of these tests",
        }

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as response:  # noqa: S310
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False
