"""The commands beside a run: under one name, quick to start, and ended in one line by an interrupt."""

from __future__ import annotations

import importlib
import re
import runpy

import pytest
from cases import quick_first

import qexp as package
from qexp.config.commands import COMMANDS
from qexp.gates import qgym

QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "env.tasks=4", "eval.baselines=[mct]")
MODULES = {
    "report": "qexp.report.__main__",
    "gap": "qexp.gap.__main__",
    "sync": "qexp.tracking.sync",
    "extract": "qexp.problem.extract",
    "fleet snapshot": "qexp.fleet.snapshot",
    "fleet build": "qexp.fleet.build",
    "catalogue build": "qexp.circuits.build",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own_and_a_line_in_the_help_of_all(name, qexp):
    ended = qexp(*name.split(), "--help")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(f"usage: qexp {name}")
    assert f"\n  qexp {name} " in qexp("--help").out


@pytest.mark.slow
def test_run_is_what_no_command_means_and_sweep_a_multirun(qexp):
    plain, named = qexp(*QUICK, "seed=3"), qexp("run", *QUICK, "seed=3")
    assert named.status == 0
    assert named.out.partition("run folder")[0] == plain.out.partition("run folder")[0]
    assert "2 of 2 jobs completed" in qexp("sweep", *QUICK, "seed=0,1").out
    assert qexp("run", "--help").out == qexp("sweep", "--help").out == qexp("--help").out


def test_version_is_that_of_qexp(qexp):
    assert qexp("--version").out == f"qexp {package.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["which", "my.qasm"], ["which: ", "run", "report", "fleet snapshot"]),
        (["reprot", "x"], ["did you mean 'report'"]),
        (["seed=1", "report"], ["qexp report"]),
        (["env.tasks"], ["env.tasks=VALUE"]),
        (["fleet"], ["fleet snapshot", "fleet diff"]),
        (["fleet", "snapshto"], ["fleet snapshto", "fleet snapshot"]),
        (["--fast"], ["--fast", "--hydra-help"]),
        (["--cfg", "jobs"], ["'jobs'", "'job'"]),
        (["report", "nowhere"], ["nowhere is not the folder of a sweep"]),
        (["sync", "nowhere"], ["nowhere: not the folder of a run"]),
        (["extract", "nowhere", "out"], ["nowhere: not a checkpoint"]),
    ],
)
def test_what_is_no_command_is_one_line_that_names_them(arguments, words, qexp):
    ended = qexp(*arguments)
    assert ended.status == 2
    assert re.fullmatch(r"qexp: [^\n]+\n", ended.err), ended.err
    for word in words:
        assert word in ended.err


@pytest.mark.parametrize("name", MODULES)
def test_an_interrupt_ends_a_command_in_one_line(name, qexp, monkeypatch, capsys):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    module = importlib.import_module(MODULES[name])
    monkeypatch.setattr("argparse.ArgumentParser.parse_args", interrupted)
    ended = qexp(*name.split(), "x", "y")
    assert (ended.status, ended.out, ended.err) == (130, "", "qexp: interrupted\n")
    assert module.main(["x"]) == 130
    assert capsys.readouterr().err == "qexp: interrupted\n"


SIGNALLED = """
import os, runpy, signal, sys, time
from qexp.report.sweeps import Sweep
def read(folder):
    os.kill(os.getpid(), signal.{signal})
    time.sleep(10)
Sweep.read = read
sys.argv = {argv!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signal", "status", "word"),
    quick_first([("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")]),
)
@pytest.mark.parametrize(("module", "arguments"), [("qexp", ["report", "x"]), ("qexp.report", ["x"])])
def test_a_signal_ends_a_command_in_one_line(signal, status, word, module, arguments, python, tmp_path):
    code = SIGNALLED.format(signal=signal, argv=["qexp", *arguments], module=module)
    ended = python("-c", code, cwd=tmp_path)
    assert (ended.status, ended.out, ended.err) == (status, "", f"qexp: {word}\n")


@pytest.mark.parametrize("name", [name for name in MODULES if name != "sync"])
def test_modules_can_still_be_called_by_their_own_names(name, capsys):
    module = importlib.import_module(MODULES[name])
    with pytest.raises(SystemExit) as exit_:
        module.main(["--help"])
    assert exit_.value.code == 0
    called = MODULES[name].removesuffix(".__main__")
    assert capsys.readouterr().out.startswith(f"usage: python -m {called} ")


LOADED = """
import sys
sys.argv = ["qexp", *{arguments!r}]
from qexp.cli import main
try:
    main()
except SystemExit:
    pass
heavy = {{"ray", "torch", "qiskit", "mlflow", "pandas"}}
print(sorted({{name.split(".")[0] for name in sys.modules}} & heavy))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", quick_first([["report", "--help"], ["sync", "--help"], ["fleet"], ["nonsense"]])
)
def test_a_command_imports_nothing_heavy_before_it_works(arguments, python, tmp_path):
    ended = python("-c", LOADED.format(arguments=arguments), cwd=tmp_path)
    assert ended.out.splitlines()[-1] == "[]", ended.err


CPU = """
import os, resource, subprocess, sys
subprocess.run([sys.executable, "-m", "qexp", "--help"], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime)
"""


@pytest.mark.slow
def test_help_takes_little_time(python, tmp_path):
    python("-m", "qexp", "--help", cwd=tmp_path)  # compiles, where nothing was yet
    seconds = min(float(python("-c", CPU, cwd=tmp_path).out) for _ in range(3))
    assert seconds < 1.0  # 0.5 on the machines it was measured on


@pytest.mark.parametrize(
    ("line", "proposed"),
    quick_first(
        [
            ("qexp rep", "report"),
            ("qexp fl", "fleet"),
            ("qexp run sched", "scheduler="),
            ("qexp sweep scheduler=w", "scheduler=weighted"),
            ("qexp see", "seed="),
            ("qexp -m seed=1 scheduler=w", "scheduler=weighted"),
        ],
        3,
    ),
)
def test_completion_knows_commands_and_what_follows_a_run(line, proposed, qexp, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line)
    ended = qexp("-sc", "query=bash")
    assert (ended.status, ended.err) == (0, "")
    assert proposed in ended.out.split()


def test_completion_leaves_files_to_the_shell_and_can_be_installed(qexp, monkeypatch):
    monkeypatch.setenv("COMP_LINE", "qexp report outp")
    assert qexp("-sc", "query=bash").out == ""
    monkeypatch.delenv("COMP_LINE")
    assert qexp("-sc", "install=bash").out.startswith("export _HYDRA_OLD_COMP")


FORMER = ("backend.build", "backend.snapshot", "deploy.gap", "policy.extract", "workload.build")


@pytest.mark.parametrize("name", FORMER)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_former_modules_of_commands_still_run_them(name, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"qexp.{name}", run_name="__main__")
    assert ended.value.code in {0, None}
    assert capsys.readouterr().out.startswith("usage: python -m qexp.")


def test_former_import_paths_that_stay_are_the_same_things():
    import qexp.env.gate_scheduling as surface
    import qexp.policy

    assert qexp.policy.load_policy is importlib.import_module("qexp.problem.bundle").load_policy
    assert {"Scheduling", "MachineProperties", "GateSchedulingEnv", "BasicRewarder"} <= set(surface.__all__)
    assert all(getattr(surface, name) is getattr(qgym, name) for name in surface.__all__)
