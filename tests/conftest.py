"""What several test folders need: small fleets and episodes, scenarios, and the command line in process."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from cases import choose_profile

from qexp.fleet.fleet import Calibration, Fleet, QNode, load_fleet
from qexp.placement.episode import Episode
from qexp.placement.placement import Placement
from qexp.placement.state import NodeState, TaskState

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("here")

ROOT = Path(__file__).parents[1]
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " must not be imported")

sys.meta_path.insert(0, Blocker())
"""


def pytest_configure(config: pytest.Config) -> None:
    """Before tests are collected: which loop this is, and one thread for PyTorch and for processes.

    Tests run side by side and compute little: threads of numerical libraries would wait for each other.
    """
    choose_profile(config.option.markexpr)
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is imported by now: it would look through it again and again."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def make_fleet() -> Callable[..., Fleet]:
    """Build a fleet from the qubits of its nodes; CLOPS and readout errors may be given too."""

    def make(
        qubits: Sequence[int], clops: Sequence[float] | None = None, readout: Sequence[float] | None = None
    ) -> Fleet:
        nodes = []
        for i, q in enumerate(qubits):
            calibration = Calibration(
                t1=1e-4,
                t2=1e-4,
                readout_error=readout[i] if readout else 0.02,
                single_qubit_error=1e-3,
                two_qubit_error=1e-2,
            )
            nodes.append(
                QNode(
                    name=f"n{i}", qubits=q, clops=clops[i] if clops else 1000.0 + i, calibration=calibration
                )
            )
        return Fleet("test", tuple(nodes))

    return make


@pytest.fixture(scope="session")
def make_episode() -> Callable[..., Episode]:
    """Build an episode from arrivals and a table of service times (infinite: does not fit)."""

    def make(arrival: Sequence[float], service: Sequence[Sequence[float]], esp: object = None) -> Episode:
        table = np.array(service, dtype=float)
        fits = np.isfinite(table)
        return Episode(
            names=[f"c{i}" for i in range(len(arrival))],
            arrival=np.array(arrival, dtype=float),
            width=np.full(len(arrival), 2),
            depth=np.full(len(arrival), 10),
            shots=1024,
            service=table,
            esp=np.where(fits, 0.5 if esp is None else np.array(esp, dtype=float), 0.0),
        )

    return make


@pytest.fixture(scope="session")
def make_state() -> Callable[..., tuple[TaskState, NodeState]]:
    """Build the state of one decision; whatever is not given is the same for all nodes."""

    def make(
        service: Sequence[float],
        free_at: Sequence[float] | None = None,
        *,
        now: float = 0.0,
        esp: Sequence[float] | None = None,
        pending: Sequence[int] | None = None,
        readout: Sequence[float] | None = None,
        mask: Sequence[bool] | None = None,
        refusals: int = 0,
    ) -> tuple[TaskState, NodeState]:
        table = np.array(service, dtype=float)
        n = len(table)
        task = TaskState(
            now=now,
            arrival=now,
            width=2,
            depth=10,
            shots=1024,
            reschedules=0,
            remaining=3,
            service=table,
            esp=np.where(np.isfinite(table), 0.5 if esp is None else np.array(esp), 0.0),
            mask=np.isfinite(table) if mask is None else np.array(mask),
        )
        nodes = NodeState(
            qubits=np.full(n, 27),
            clops=np.linspace(1000.0, 2000.0, n),
            readout_error=np.array(readout) if readout else np.full(n, 0.02),
            free_at=np.full(n, -1.0) if free_at is None else np.array(free_at, dtype=float),
            pending=np.zeros(n, dtype=np.int64) if pending is None else np.array(pending),
            refusals=refusals,
        )
        return task, nodes

    return make


@pytest.fixture(scope="session")
def qce25() -> Placement:
    """The default scenario: five machines, 25 tasks of 2 to 27 qubits in a minute."""
    return Placement(load_fleet("qce5"))


def gates(cx: int) -> str:
    """Gate counts as QSimPy's datasets write them."""
    return str({"cx": cx, "rz": 3, "sx": 2, "measure": 2})


@pytest.fixture(scope="session")
def write_dataset() -> Callable[..., Path]:
    """Write a CSV file in QSimPy's layout; rows are (subset, algorithm, width, {qubits: depth})."""

    def write(path: Path, rows: Sequence[tuple[int, str, int, dict[int, int]]]) -> Path:
        machines = sorted(rows[0][3])
        columns = ["subset", "algorithm", "original_width", "original_depth", "original_gates"]
        columns += [f"ibmq{q}_{what}" for q in machines for what in ("width", "depth", "gates")]
        lines = [",".join(columns)]
        for subset, algorithm, width, depths in rows:
            cells: list[object] = [subset, algorithm, width, 2 * width, f'"{gates(width)}"']
            for q in machines:
                fits = depths[q] >= 0
                cells += [q if fits else -1, depths[q], f'"{gates(depths[q])}"' if fits else "{}"]
            lines.append(",".join(str(cell) for cell in cells))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def qexp(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[..., Ended]]:
    """Run the command line in this process, in the folder ``tmp_path / "cwd"``."""
    from qexp.cli import main

    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # Hydra composes each config twice, the first time only to see whether it asks for a multirun.
    monkeypatch.setattr("hydra._internal.hydra.Hydra.get_mode", lambda *_, **__: None)
    if absl := sys.modules.get("absl.logging"):
        # RLlib brings absl, whose handler closes its stream when Hydra configures logging, unless that is a
        # standard one: in a test that imported it, it is pytest's own capture file.
        absl.get_absl_handler().python_handler.stream = sys.__stderr__
    root = logging.getLogger()
    before = root.level, root.handlers[:]

    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["qexp", *arguments])
        try:
            status = main()
        except SystemExit as exit_:  # Hydra's way out of --help
            status = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        seen = capsys.readouterr()
        return Ended(status, seen.out, seen.err)

    yield call
    # Hydra configures logging for each run: give back what was there, and close the log files.
    for handler in [h for h in root.handlers if h not in before[1]]:
        handler.close()
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.fixture(scope="session")
def python() -> Callable[..., Ended]:
    """Run ``python ARGUMENTS`` in a fresh process."""

    def call(*arguments: str | Path, cwd: Path) -> Ended:
        done = subprocess.run(
            [sys.executable, *(str(argument) for argument in arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def without() -> Callable[..., str]:
    """Return Python code after which importing any of the packages raises."""

    def code(*packages: str) -> str:
        return BLOCKER.format(blocked=set(packages))

    return code
