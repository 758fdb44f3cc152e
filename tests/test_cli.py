"""The command line: what it refuses and how, what it leaves behind, and what it imports."""

from __future__ import annotations

import errno
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from cases import quick_first

from qexp.deploy.campaign import journal

QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]")

FLEET = """format: qexp-fleet/1
name: mine
nodes:
- name: alpha
  qubits: 27
  clops: 2000
  machine: kolkata
  calibration: {t1: 1.0e-4, t2: 1.0e-4, readout_error: 0.01, single_qubit_error: 0.001, two_qubit_error: 0.01}
- name: beta
  qubits: 7
  clops: 2900
  machine: perth
  calibration: {t1: 1.0e-4, t2: 1.0e-4, readout_error: 0.02, single_qubit_error: 0.001, two_qubit_error: 0.01}
"""
TASKS = """subset,algorithm,original_width,original_depth,original_gates,ibmq7_width,ibmq7_depth,ibmq7_gates,\
ibmq27_width,ibmq27_depth,ibmq27_gates
0,ghz,3,4,"{'cx': 2}",7,11,"{'cx': 2, 'measure': 3}",27,12,"{'cx': 2, 'measure': 3}"
0,qft,9,20,"{'cx': 2}",-1,-1,{},27,150,"{'cx': 99, 'measure': 9}"
1,ghz,5,6,"{'cx': 4}",7,21,"{'cx': 4, 'measure': 5}",27,22,"{'cx': 4, 'measure': 5}"
"""

# Command line after `qexp`, and what the message must name.
REFUSED = {
    "unknown option": (["scheduler=mtc"], ["scheduler=mtc", "mct", "round_robin"]),
    "option that is a number": (["scheduler=3"], ["scheduler=3"]),
    "value for an option": (["env.arrivals=poisson"], ["env.arrivals=poisson", "env/arrivals=OPTION"]),
    "typo": (["env.taks=3"], ["'env.taks'", "'env.tasks'"]),
    "typo in a nested key": (
        ["env.workload.max_widht=3"],
        ["env.workload.max_widht", "env.workload.max_width"],
    ),
    "key without its group": (["tasks=3"], ["'tasks'", "'env.tasks'"]),
    "group without its group": (["arrivals=poisson"], ["'arrivals'", "'env/arrivals'"]),
    "key of another option": (["scheduler.beam=3"], ["'scheduler.beam'", "scheduler=clairvoyant"]),
    "added key": (["+env.speed=3"], ["'env.speed'"]),
    "no such key at all": (["xyzzy=3"], ["'xyzzy'", "--cfg job"]),
    "wrong type": (["env.tasks=abc"], ["env.tasks=abc", "Integer"]),
    "null": (["env.tasks=null"], ["env.tasks=null"]),
    "not a list": (["eval.baselines=mct"], ["eval.baselines=mct", "write eval.baselines=[mct]"]),
    "key of several options": (
        ["deploy.tasks=3"],
        ["'deploy.tasks'; it belongs to deploy=ibm, deploy=local and deploy=simulator"],
    ),
    "list of something else": (["env.workload.families=[[ghz]]"], ["env.workload.families.0"]),
    "out of range": (["env.tasks=0"], ["env.tasks=0", "greater than or equal to 1"]),
    "not finite": (["env.arrivals.window=inf"], ["env.arrivals.window=inf", "finite"]),
    "several out of range": (
        [
            "env.tasks=0",
            "env.arrivals.window=-1",
            "eval.episodes=0",
            "scheduler=clairvoyant",
            "scheduler.beam=0",
        ],
        ["env.tasks=0", "env.arrivals.window=-1.0", "eval.episodes=0", "scheduler.beam=0"],
    ),
    "missing values": (["backend=file", "env/workload=csv"], ["backend.path", "env.workload.path"]),
    "unknown reference": (["seed=${nope}"], ["nope"]),
    "not an assignment": (["env.tasks"], ["env.tasks"]),
    "forgotten multirun": (["seed=1,2"], ["seed=1,2", "--multirun"]),
    "class that is no option": (["env.workload._target_=os.system"], ["env.workload._target_", "os.system"]),
    "observation": (["env.observation=pixels"], ["env.observation", "dict", "flat", "pixels"]),
    "unknown baseline": (["eval.baselines=[mct,mtc]"], ["eval.baselines", "'mtc'", "mct"]),
    "policy without path": (["scheduler=policy"], ["scheduler.path"]),
    "heuristic with training": (
        ["algo=a2c", "scheduler=met"],
        ["scheduler=met", "algo=a2c", "eval.baselines", "algo=none"],
    ),
    "policy with training": (["algo=dqn", "scheduler.path=policy"], ["scheduler.path", "algo=dqn"]),
    "training without end": (["algo=a2c", "algo.env_steps=null"], ["algo.env_steps", "algo.seconds"]),
    "training on the flat layout": (["algo=a2c", "env.observation=flat"], ["env.observation=flat"]),
    "random fleets for a file of circuits": (
        [
            *("algo=a2c", "algo.fleet_randomisation=true"),
            *("env/workload=csv", "env.workload.path=tasks.csv", "eval.episodes=1"),
        ],
        ["algo.fleet_randomisation", "env/workload=csv"],
    ),
    "random fleets like one without logarithms": (
        ["backend=file", "backend.path=zero.yaml", "algo=dqn", "algo.fleet_randomisation=true"],
        ["backend: cannot imitate 'beta': its readout_error is 0"],
    ),
    "path that is no bundle": (["scheduler=policy", "scheduler.path=nowhere"], ["scheduler.path", "nowhere"]),
    "no circuits left": (["env.workload.min_width=28"], ["env.workload.min_width", "env.workload.max_width"]),
    "unknown family": (["env.workload.families=[gzh]"], ["env.workload.families", "'gzh'", "ghz"]),
    "missing fleet file": (["backend=file", "backend.path=no.yaml"], ["backend.path", "no.yaml"]),
    "missing dataset": (["env/workload=csv", "env.workload.path=no.csv"], ["env.workload.path", "no.csv"]),
    "service time without durations": (
        ["env/workload=csv", "env.workload.path=tasks.csv", "env/service_time=repetition_delay"],
        ["env/service_time=repetition_delay", "clops_depth"],
    ),
    "more episodes than subsets": (
        ["env/workload=csv", "env.workload.path=tasks.csv", "eval.episodes=3"],
        ["eval.episodes=3", "2 subsets"],
    ),
}
# The dataset's machines have 7 and 27 qubits, as the fleet of one's own.
MINE = ("backend=file", "backend.path=mine.yaml")


@pytest.fixture
def inputs(tmp_path: Path, qexp) -> Path:
    """A folder with a good fleet file and a good dataset, which is also the current one."""
    folder = Path.cwd()
    (folder / "mine.yaml").write_text(FLEET, encoding="utf-8")
    (folder / "zero.yaml").write_text(
        FLEET.replace("readout_error: 0.02", "readout_error: 0.0"), encoding="utf-8"
    )
    (folder / "tasks.csv").write_text(TASKS, encoding="utf-8")
    return folder


def assert_refused(ended, *words: str) -> None:
    assert ended.status == 2, ended
    assert re.fullmatch(r"qexp: [^\n]+\n", ended.err), ended.err
    assert "Traceback" not in ended.out
    for word in words:
        assert word in ended.err


@pytest.mark.parametrize("case", quick_first(REFUSED, 6))
def test_bad_input_is_refused_in_one_line_and_leaves_nothing(case, qexp, inputs, tmp_path):
    arguments, words = REFUSED[case]
    if any("tasks.csv" in argument for argument in arguments):
        arguments = [*MINE, *arguments]
    before = sorted(inputs.rglob("*"))
    quick = [q for q in QUICK if q.split("=")[0] not in {a.split("=")[0] for a in arguments}]
    assert_refused(qexp(*quick, *arguments), *words)
    assert sorted(inputs.rglob("*")) == before


def test_the_good_input_files_of_these_tests_are_good(qexp, inputs):
    ended = qexp(*QUICK, *MINE, "env/workload=csv", "env.workload.path=tasks.csv", "scheduler=greedy")
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "pattern"),
    quick_first(
        [
            ("tasks.csv", "0,qft,9,", "0,qft,nine,", "tasks.csv:3: original_width: .*'nine'"),
            ("tasks.csv", "1,ghz,5,6,", "1,ghz,5,", "tasks.csv:4: .*fields"),
            ("tasks.csv", TASKS, "\0\xff", "tasks.csv:1: "),
            ("tasks.csv", ',27,150,"', ',-1,-1,"', "tasks.csv:3: qft .*fits no machine"),
            ("mine.yaml", "name: mine", "name: [mine", "mine.yaml:3: not valid YAML"),
            ("mine.yaml", "  clops: 2900\n", "", r"mine.yaml: nodes\[1\]\.clops: .*required"),
            ("mine.yaml", "name: beta", "name: alpha", "mine.yaml: .*'alpha'.*more than once"),
            ("mine.yaml", "name: mine", f"name: mine\nhash: sha256:{'0' * 64}", "mine.yaml: hash: "),
        ],
        2,
    ),
)
def test_malformed_files_are_refused_with_file_and_place(name, old, new, pattern, qexp, inputs):
    """One of each kind; tests/workload and tests/backend have them all."""
    text = (inputs / name).read_text(encoding="utf-8")
    assert old in text
    (inputs / name).write_text(text.replace(old, new), encoding="utf-8")
    before = sorted(inputs.rglob("*"))
    ended = qexp(*QUICK, *MINE, "env/workload=csv", "env.workload.path=tasks.csv")
    assert_refused(ended)
    assert re.search(pattern, ended.err), ended.err
    assert sorted(inputs.rglob("*")) == before


@pytest.mark.parametrize(
    "argument", quick_first(["scheduler=mtc", "env.taks=3", "env.tasks=0", "seed=${nope}"])
)
def test_a_chosen_run_folder_is_not_left_behind_either(argument, qexp, inputs, tmp_path):
    for run in (tmp_path / "run", inputs / "some" / "deep" / "run"):
        assert_refused(qexp(argument, "tracking=off", f"hydra.run.dir={run}"))
    assert sorted(path.name for path in inputs.iterdir()) == ["mine.yaml", "tasks.csv", "zero.yaml"]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_refused_run_spares_what_was_there_before(qexp, inputs, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "notes.txt").write_text("mine", encoding="utf-8")
    assert_refused(qexp(*QUICK, "env.tasks=0", f"hydra.run.dir={run}"))
    assert (run / "notes.txt").read_text(encoding="utf-8") == "mine"
    # Not even an empty current folder may vanish.
    for item in inputs.iterdir():
        item.unlink()
    assert_refused(qexp(*QUICK, "env.tasks=0", "hydra.run.dir=."))
    assert inputs.is_dir()
    assert list(inputs.iterdir()) == []


@pytest.mark.slow
def test_one_bad_job_of_a_sweep_is_reported_and_the_others_run(qexp, tmp_path):
    sweep = tmp_path / "sweep"
    ended = qexp("-m", *QUICK, "env.workload.min_width=2,30", f"hydra.sweep.dir={sweep}")
    assert (ended.status, ended.err) == (1, "")
    assert "job 1: env.workload.min_width=30: FAILED: " in ended.out
    results = {path.parent.name.partition("-")[0]: path.read_text() for path in sweep.glob("*/result.json")}
    assert '"COMPLETED"' in results["env.workload.min_width=2"]
    assert '"FAILED"' in results["env.workload.min_width=30"]


@pytest.mark.slow
def test_a_config_file_of_ones_own_that_is_no_yaml(qexp, tmp_path):
    presets = tmp_path / "mine" / "experiment"
    presets.mkdir(parents=True)
    (presets / "good.yaml").write_text("# @package _global_\nenv: {tasks: 3}\n", encoding="utf-8")
    (presets / "bad.yaml").write_text("# @package _global_\nenv: {tasks: 3\n", encoding="utf-8")
    where = ("--config-dir", str(presets.parent))
    assert qexp(*where, "--cfg", "job", "experiment=good").out.count("tasks: 3\n") == 1
    assert_refused(qexp(*where, *QUICK, "experiment=bad"), "experiment=bad", "bad.yaml")


def test_bugs_keep_their_traceback(qexp, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("qexp.experiment.run", broken)
    with pytest.raises(ValueError, match="a bug"):
        qexp(*QUICK)


def test_a_folder_that_cannot_be_made_is_one_line(qexp, tmp_path):
    (tmp_path / "file").touch()
    ended = qexp(*QUICK, f"hydra.run.dir={tmp_path / 'file' / 'run'}")
    assert (ended.status, ended.err) == (2, f"qexp: {tmp_path / 'file' / 'run'}: Not a directory\n")


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_in_no_place_is_one_line(qexp):
    ended = qexp("tracking=off", "eval.episodes=2", "hydra.run.dir=/proc/qexp/run")
    assert ended.status == 2
    assert re.fullmatch(r"qexp: /proc/qexp[^\n]*: No such file or directory\n", ended.err), ended.err


def test_a_folder_in_which_no_log_can_be_written_is_one_line(qexp, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "run/qexp.log")

    monkeypatch.setattr("logging.FileHandler._open", refuse)
    ended = qexp("tracking=off", "eval.episodes=2", "hydra.run.dir=run")
    assert (ended.status, ended.err) == (2, "qexp: run/qexp.log: Permission denied\n")


def test_a_value_that_wants_quotes_is_said_to(qexp):
    ended = qexp("resume=outputs/sweeps/s/scheduler=mct-seed=0")
    assert ended.status == 2
    assert """quotes twice: 'key="value"'""" in ended.err


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_line_and_the_log_has_the_rest(qexp, monkeypatch):
    monkeypatch.setattr("qexp.stages.report._write_files", full)
    ended = qexp(*QUICK, "hydra.run.dir=run")
    assert (ended.status, ended.err) == (1, "qexp: run: No space left on device\n")
    assert "Traceback" in Path("run/qexp.log").read_text(encoding="utf-8")
    # A campaign's journal has all that is needed to go on.
    ended = qexp(*QUICK, "deploy=simulator", "deploy.tasks=2", "hydra.run.dir=other")
    assert ended.err == (
        "qexp: other: No space left on device; when that is mended, continue with resume=other\n"
    )
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(OSError, match="No space left"):
        qexp(*QUICK, "hydra.run.dir=third")


@pytest.mark.slow
def test_a_journal_that_cannot_be_written_is_one_line_and_goes_on_later(qexp, monkeypatch):
    connect = journal._connect

    def small(path: Path) -> sqlite3.Connection:
        db = connect(path)
        if path.name == journal.FILE:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count = {pages + 1}")
        return db

    with monkeypatch.context() as patch:
        patch.setattr(journal, "_connect", small)
        ended = qexp(*QUICK, "deploy=simulator", "deploy.tasks=40", "hydra.run.dir=run")
    assert ended.status == 1
    assert ended.err == (
        "qexp: run: database or disk is full; when that is mended, continue with resume=run\n"
    )
    assert qexp("resume=run").status == 0


def test_an_error_of_sql_is_a_bug(qexp, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute("SELEC")

    monkeypatch.setattr("qexp.experiment.run", broken)
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        qexp(*QUICK)


def test_tracebacks_of_refusals_can_be_had(qexp, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match=r"env\.tasks=0"):
        qexp(*QUICK, "env.tasks=0")


def test_cfg_job_prints_the_config(qexp):
    ended = qexp("--cfg", "job", "env.tasks=7", "env/arrivals=poisson")
    assert (ended.status, ended.err) == (0, "")
    config = yaml.safe_load(ended.out)
    assert config["env"]["tasks"] == 7
    assert config["env"]["arrivals"]["_option_"] == "poisson"
    assert config["eval"]["episodes"] == 100


def test_help_lists_groups_options_and_how_to_start(qexp):
    ended = qexp("--help")
    assert (ended.status, ended.err) == (0, "")
    for word in ("algo=a2c", "env/arrivals", "poisson", "round_robin", "qce5", "--cfg job"):
        assert word in ended.out
    assert "_schema" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    quick_first(
        [
            (["env.taks=3"], ["'env.taks'", "'env.tasks'"]),
            (["backend=file", "backend.path=x.yaml"], ["backend.path", "x.yaml"]),
        ]
    ),
)
def test_refusals_of_the_real_command(arguments, words, python, tmp_path):
    assert_refused(python("-m", "qexp", *arguments, cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []


LOADED = """
import sys
sys.argv = ["qexp", *{arguments!r}]
from qexp.cli import main
try:
    status = main()
except SystemExit as exit_:
    status = exit_.code
print("STATUS", status or 0, sorted({{name.split(".")[0] for name in sys.modules}} & set({heavy!r})))
"""
ALWAYS_HEAVY = ["ray", "torch", "qiskit", "qiskit_ibm_runtime", "mqt", "mlflow"]
HEAVY = [*ALWAYS_HEAVY, "simpy", "pandas", "matplotlib", "scipy"]


@pytest.mark.parametrize("arguments", quick_first([["--help"], ["--cfg", "job"]]))
def test_looking_around_imports_nothing_heavy(arguments, python, tmp_path):
    ended = python("-c", LOADED.format(arguments=arguments, heavy=HEAVY), cwd=tmp_path)
    assert ended.out.splitlines()[-1] == "STATUS 0 []", ended.err


def test_importing_the_command_imports_nothing_heavy(python, tmp_path):
    heavy = {*HEAVY, "gymnasium"}
    code = f"import sys, qexp.cli; print({{name.split('.')[0] for name in sys.modules}} & {heavy})"
    assert python("-c", code, cwd=tmp_path).out == "set()\n"


@pytest.mark.slow
def test_a_heuristic_run_imports_neither_learning_nor_quantum_libraries(python, tmp_path):
    arguments = ["tracking=off", "plots=false", "eval.episodes=2", "env.tasks=3"]
    ended = python("-c", LOADED.format(arguments=arguments, heavy=ALWAYS_HEAVY), cwd=tmp_path)
    assert ended.out.splitlines()[-1] == "STATUS 0 []", ended.err
