import csv
import gzip
import hashlib
import io
import json
import math
import os
import subprocess
import sys
from importlib import resources
from statistics import median

import pytest

from qexp.circuits import build
from qexp.errors import InputError
from qexp.fleet.build import HERON, RETIRED
from qexp.fleet.calibration import BROKEN
from qexp.fleet.ibm import fake_backend
from qexp.fleet.machines import MACHINES
from qexp.placement.workload.catalogue import QCE

DATA = resources.files("qexp.circuits") / "data"


@pytest.fixture(autouse=True)
def _restored_environment(monkeypatch):
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "QISKIT_PARALLEL"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))


@pytest.fixture(scope="module")
def content():
    return gzip.decompress((DATA / "catalogue.csv.gz").read_bytes())


@pytest.fixture(scope="module")
def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode("ascii"))))


@pytest.fixture(scope="module")
def facts():
    return json.loads((DATA / "catalogue.json").read_text(encoding="utf-8"))


def belem_circuit():
    """Two qubits of Belem: a gate each side by side, a cx, then both are read."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(5, 2)
    circuit.sx(0)
    circuit.x(1)
    circuit.cx(1, 0)
    circuit.rz(0.3, 0)
    circuit.barrier(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def test_figures_of_a_tiny_circuit_match_the_calibration_sheet_worked_by_hand():
    from qexp.circuits.compilation import Machine, measure_figures

    found = measure_figures(belem_circuit(), Machine.from_backend(fake_backend("belem")).healthy)
    # From the snapshot of 15 March 2021: sx on 0, x on 1, cx from 1 to 0, readout of 0 and 1.
    errors = [0.00023078387665829674, 0.0004110884185250172, 0.016558485595031758, 0.0414, 0.032]
    assert found.log10_esp == pytest.approx(math.log10(math.prod(1 - error for error in errors)), rel=1e-12)
    assert found.duration == pytest.approx((35.55555555555556 + 775.1111111111111 + 5351.11111111111) * 1e-9)
    assert found.depth == 4
    assert found.two_qubit_gates == 1


@pytest.mark.parametrize("machine", ["guadalupe", "fez", "miami"])
def test_figures_agree_with_the_compilers_own_estimates(machine):
    from qexp.circuits.compilation import Machine, benchmark_circuit, compile_circuit, measure_figures

    target = Machine.from_backend(fake_backend(machine)).target_for(6)
    compiled = compile_circuit(benchmark_circuit("randomcircuit", 6), target, build.LEVEL, build.SEED)
    assert set(compiled.count_ops()) <= {MACHINES[machine].native, "rz", "sx", "x", "measure", "barrier"}
    found = measure_figures(compiled, target)
    assert found.duration == pytest.approx(compiled.estimate_duration(target))
    assert 10**found.log10_esp == pytest.approx(compiled.estimate_fidelity(target))
    assert found.two_qubit_gates == compiled.num_nonlocal_gates()


def test_a_circuit_without_measurements_gets_them():
    from qexp.circuits.compilation import benchmark_circuit

    assert benchmark_circuit("qaoa", 5).count_ops()["measure"] == 5
    assert benchmark_circuit("ghz", 5).count_ops()["measure"] == 5


@pytest.mark.slow
def test_every_family_is_the_same_circuit_each_time():
    from qiskit import transpile

    from qexp.circuits.compilation import benchmark_circuit

    def unrolled(algorithm, width):
        # Blocks carry names that are numbered anew each time; their gates do not.
        return transpile(benchmark_circuit(algorithm, width), basis_gates=["u", "cx"], optimization_level=0)

    for algorithm, widths in build.FAMILIES.items():
        width = widths[min(3, len(widths) - 1)]
        assert unrolled(algorithm, width) == unrolled(algorithm, width), algorithm


def test_logical_depth_opens_blocks_up():
    from qiskit import QuantumCircuit
    from qiskit.circuit.library import QFTGate

    from qexp.circuits.compilation import logical_depth

    circuit = QuantumCircuit(3)
    circuit.append(QFTGate(3), range(3))
    assert circuit.depth() == 1
    assert logical_depth(circuit, seed=1) > 9
    pair = QuantumCircuit(2)
    pair.h(0)
    pair.t(0)
    pair.cx(0, 1)
    pair.measure_all()
    assert logical_depth(pair, seed=1) == 3


@pytest.mark.parametrize(("machine", "healthy", "qubits"), [("hanoi", 27, 27), ("cairo", 25, 27)])
def test_broken_links_are_used_only_where_a_circuit_needs_all_qubits(machine, healthy, qubits):
    from qexp.circuits.compilation import Machine

    parts = Machine.from_backend(fake_backend(machine))
    for part, size in ((parts.healthy, healthy), (parts.whole, qubits)):
        assert part.num_qubits == size
        assert part.build_coupling_map().is_connected()
    assert max(gate.error for gate in parts.healthy["cx"].values()) < BROKEN
    assert max(gate.error for gate in parts.whole["cx"].values()) <= BROKEN
    assert parts.target_for(healthy) is parts.healthy
    assert parts.target_for(27).num_qubits == 27


def test_the_error_of_a_herons_link_is_its_cz_not_its_rzz():
    """The snapshots have both, and rzz is broken on far more links."""
    from qiskit import QuantumCircuit

    from qexp.circuits.compilation import Machine, measure_figures

    parts = Machine.from_backend(fake_backend("torino"))
    folder = resources.files("qiskit_ibm_runtime.fake_provider.backends") / "torino"
    gates = json.loads((folder / "props_torino.json").read_text("utf-8"))["gates"]
    [cz] = [gate for gate in gates if gate["gate"] == "cz" and gate["qubits"] == [0, 1]]
    figures = {parameter["name"]: parameter["value"] for parameter in cz["parameters"]}
    circuit = QuantumCircuit(133)
    circuit.cz(0, 1)
    found = measure_figures(circuit, parts.whole)
    assert found.log10_esp == pytest.approx(math.log10(1 - figures["gate_error"]))
    assert found.duration == pytest.approx(figures["gate_length"] * 1e-9)
    assert set(parts.whole.operation_names) == {"cz", "measure", "rz", "sx", "x"}


def test_qubits_whose_gates_are_broken_are_not_compiled_for():
    from qexp.circuits.compilation import Machine

    parts = Machine.from_backend(fake_backend("kingston"))
    # Five qubits have no working sx gate, and cut off one more.
    assert parts.healthy.num_qubits == 150
    assert max(gate.error for gate in parts.healthy["sx"].values()) < BROKEN
    assert max(gate.error for gate in parts.healthy["cz"].values()) < BROKEN
    assert parts.whole.num_qubits == 156
    assert max(gate.error for gate in parts.whole["sx"].values()) == BROKEN


def test_a_127_qubit_machine_loses_only_the_qubits_behind_broken_links():
    from qexp.circuits.compilation import Machine

    parts = Machine.from_backend(fake_backend("washington"))
    assert 50 <= parts.healthy.num_qubits < 127
    assert parts.healthy.build_coupling_map().is_connected()
    assert max(gate.error for gate in parts.healthy["cx"].values()) < BROKEN


@pytest.mark.parametrize("circuit", [("ghz", 5), ("qft", 6), ("ae", 4)])
def test_rebuilding_a_circuit_gives_the_shipped_rows(circuit, rows):
    shipped = {row["machine"]: row for row in rows if (row["algorithm"], int(row["width"])) == circuit}
    rebuilt = build.circuit_rows(circuit, ["perth", "belem", "guadalupe"])
    assert len(rebuilt) == (2 if circuit[1] > 5 else 3)
    for row in rebuilt:
        text = dict(zip(build.COLUMNS, map(str, row), strict=True))
        found = shipped[text["machine"]]
        for key in ("logical_depth", "depth", "two_qubit_gates"):
            assert text[key] == found[key]
        for key in ("duration", "log10_esp"):
            assert float(text[key]) == pytest.approx(float(found[key]), rel=1e-5)


@pytest.mark.slow
def test_the_command_gives_the_same_bytes_in_another_process_and_the_shipped_rows(tmp_path, content):
    wanted = ["--only", "graphstate:9", "vqe_su2:16", "--machines", "washington", "guadalupe", "cairo"]
    blobs = []
    for seed, jobs in (("1", "1"), ("2", "2")):
        out = tmp_path / seed
        command = [sys.executable, "-m", "qexp.circuits.build", "--out", str(out), "--jobs", jobs, *wanted]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
        blobs.append((out / "catalogue.csv.gz").read_bytes())
        assert sorted(path.name for path in out.iterdir()) == ["catalogue.csv.gz", "catalogue.json"]
    assert blobs[0] == blobs[1]
    lines = gzip.decompress(blobs[0]).splitlines()
    assert len(lines) == 7
    assert set(lines) <= set(content.splitlines())


@pytest.mark.slow
def test_extending_a_catalogue_gives_what_building_it_whole_gives(tmp_path, capsys):
    wanted = ["--only", "ghz:3", "ghz:6", "--jobs", "1"]

    def run(folder, *arguments):
        assert build.main([*wanted, "--out", str(tmp_path / folder), *arguments]) == 0
        return (tmp_path / folder / "catalogue.csv.gz").read_bytes()

    whole = run("whole", "--machines", "lima", "torino", "perth")
    # Lima's and perth's rows are kept: torino's go between them only where they belong.
    assert run("grown", "--machines", "lima", "perth") != whole
    assert run("grown", "--extend", "--machines", "lima", "torino") == whole
    facts = json.loads((tmp_path / "grown" / "catalogue.json").read_text())
    assert set(facts["machines"]) == {"lima", "perth", "torino"}
    assert facts["rows"] == 5

    def refused(*arguments):
        before = (tmp_path / "grown" / "catalogue.csv.gz").read_bytes()
        capsys.readouterr()
        assert build.main([*arguments, "--out", str(tmp_path / "grown"), "--extend", "--jobs", "1"]) == 2
        assert (tmp_path / "grown" / "catalogue.csv.gz").read_bytes() == before
        return capsys.readouterr().err

    assert "has these machines already" in refused(*wanted, "--machines", "lima")
    assert "other circuits" in refused("--only", "ghz:3", "--machines", "quito")
    assert "level, seed" in refused(*wanted, "--machines", "quito", "--level", "2")


def test_the_papers_machines_keep_their_rows_to_the_letter(content):
    """Frozen: results that were published with these fleets were computed from exactly these rows."""
    new = {name.encode() for name in MACHINES if name not in RETIRED}
    lines = [line for line in content.splitlines(keepends=True) if line.split(b",")[3] not in new]
    assert hashlib.sha256(b"".join(lines)).hexdigest() == (
        "df753cefd753d41ba7a3489f06da27c064be2fb343cb08a0e69f7ee79f3bba83"
    )


def test_every_row_is_sane(rows):
    assert tuple(rows[0]) == build.COLUMNS
    for row in rows:
        assert int(row["depth"]) > 0
        assert int(row["logical_depth"]) > 0
        assert int(row["two_qubit_gates"]) >= 0
        assert 0 < float(row["duration"]) < 1
        assert -1000 < float(row["log10_esp"]) <= 0


def test_a_row_is_missing_exactly_when_the_circuit_is_wider_than_the_machine(rows):
    machines_of = {}
    for row in rows:
        machines_of.setdefault((row["algorithm"], int(row["width"])), []).append(row["machine"])
    expected = {(name, width) for name, widths in build.FAMILIES.items() for width in widths}
    assert set(machines_of) == expected
    for (_, width), found in machines_of.items():
        assert found == [name for name, machine in MACHINES.items() if width <= machine.qubits]


def test_logical_depth_does_not_depend_on_the_machine(rows):
    depths = {}
    for row in rows:
        depths.setdefault((row["algorithm"], row["width"]), set()).add(row["logical_depth"])
    assert all(len(found) == 1 for found in depths.values())


def test_the_qce_circuits_have_the_scale_of_the_papers(rows):
    chosen = [row for row in rows if row["algorithm"] in QCE.set_families and int(row["width"]) <= 27]
    for machine in ("washington", "kolkata", "hanoi"):
        depths = [int(row["depth"]) for row in chosen if row["machine"] == machine]
        assert len(depths) == 312
        # The papers' median is about 290; with today's default ansatz circuits it would be 124.
        assert 240 <= median(depths) <= 340


def test_the_catalogue_is_small_and_says_where_it_comes_from(content, rows, facts):
    assert len((DATA / "catalogue.csv.gz").read_bytes()) < 1_000_000
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["rows"] == len(rows)
    assert facts["optimization_level"] == build.LEVEL
    assert facts["seed_transpiler"] == build.SEED
    assert set(facts["families"]) == set(build.FAMILIES)
    assert list(facts["machines"]) == list(MACHINES) == [*RETIRED, *HERON, "miami"]
    assert set(facts["versions"]) == {"python", "qiskit", "mqt-bench", "qiskit-ibm-runtime"}
    for machine in facts["machines"].values():
        assert machine["snapshot"][:2] == "20"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "bogus:5", "--out", "x"], "--only: unknown family 'bogus'"),
        (["--only", "ghz:1", "--out", "x"], "--only: ghz has no width '1'"),
        (["--only", "ghz:x", "--out", "x"], "--only: ghz has no width 'x'"),
        (["--only", "ghz:5"], "need --out"),
        (["--machines", "lima"], "need --out"),
        (["--level", "3"], "need --out"),
        (["--only", "ghz:9", "--machines", "lima", "--jobs", "1", "--out", "x"], "--machines: no circuit"),
        (["--extend", "--out", "x"], "--extend: no catalogue in x"),
        (["--only", "ghz:5", "--jobs", "1", "--out", f"{__file__}/x"], "--out: cannot make folder"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert build.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_command_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mqt.bench", None)
    monkeypatch.delitem(sys.modules, "qexp.circuits.compilation", raising=False)
    monkeypatch.delattr("qexp.circuits.compilation", raising=False)
    assert build.main(["--only", "ghz:5", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install -e '.[catalogue]'" in error
    assert not (tmp_path / "out").exists()


def test_parse_circuit_reads_one_or_all_widths():
    assert build.parse_circuit("ghz:7") == [("ghz", 7)]
    assert build.parse_circuit("qwalk") == [("qwalk", width) for width in (3, 4, 5, 6)]
    with pytest.raises(InputError, match="it has 3, 4, 5, 6"):
        build.parse_circuit("qwalk:7")
