"""Folders that version 0.1.0 made, which knew options by the paths of their classes, are read as before."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf
from rich.console import Console

from qexp.config.identity import config_hash, is_former, names_with_values, with_names
from qexp.config.option import REGISTRY, load_options
from qexp.config.schema import validate
from qexp.policy import load_policy
from qexp.problem.roster import Roster
from qexp.runfolder import RunFolder
from qexp.stages.resume import is_of, own_config, unfinished
from qexp.stages.run import identity_of

MADE = Path(__file__).parents[1] / "old_runs"
load_options()


@pytest.fixture
def old(tmp_path):
    shutil.copytree(MADE, tmp_path / "old")
    return tmp_path / "old"


@pytest.mark.parametrize("name", ["training", "campaign"])
def test_a_run_that_was_cut_off_can_be_resumed(old, name):
    folder = RunFolder(old / name)
    config = own_config(folder, OmegaConf.create({"resume": str(folder.path)}), [])
    resolved, begun = validate(config), folder.begun
    identity = identity_of(resolved, begun["fleet_hash"])
    assert "_target_" not in json.dumps(resolved)
    assert unfinished(folder, resolved, identity, Console()) == begun


def test_one_whose_configuration_was_changed_cannot(old):
    file = old / "training" / "config.yaml"
    begun = RunFolder(old / "training").begun
    assert is_of(begun["config_hash"], validate(yaml.safe_load(file.read_text())), file)
    file.write_text(file.read_text().replace("tasks: 6", "tasks: 7"))
    assert not is_of(begun["config_hash"], validate(yaml.safe_load(file.read_text())), file)


@pytest.mark.slow
def test_a_sweep_finds_its_jobs_done(qexp, old):
    command = ("-m", "scheduler=mct,weighted", "seed=1,2", "eval.episodes=5", "tracking=off", "plots=false")
    before = {job.name: (job / "result.json").read_text() for job in (old / "sweep").glob("scheduler=*")}
    ended = qexp(*command, f"hydra.sweep.dir={old / 'sweep'}", "sweep=old")
    assert "4 of 4 jobs completed" in ended.out, ended.err
    # The two of the other seed, planned there, are run now.
    assert len(re.findall(r"done before", ended.out)) == 2
    assert {name: (old / "sweep" / name / "result.json").read_text() for name in before} == before


def test_a_policy_decides_as_it_did(qexp, old, tmp_path):
    run = tmp_path / "run"
    choice = ("scheduler=policy", f"scheduler.path={old / 'policy'}", "env.tasks=6", "eval.episodes=2")
    assert (
        qexp(*choice, "eval.baselines=[mct]", "plots=false", "tracking=off", f"hydra.run.dir={run}").status
        == 0
    )
    assert {row["scheduler"] for row in json.loads((run / "result.json").read_text())["leaderboard"]} == {
        "policy",
        "mct",
    }


@pytest.mark.slow
def test_a_campaign_of_two_schedulers_is_finished(qexp, old):
    ended = qexp(f"resume={old / 'campaign'}")
    assert (ended.status, ended.err) == (0, "")
    result = json.loads((old / "campaign" / "result.json").read_text())
    assert result["deployment"]["tasks"] == {"done": 24}
    assert result["deployment"]["schedulers"].keys() == {"weighted", "mct"}
    assert qexp("gap", str(old / "campaign")).status == 0


@pytest.mark.parametrize(
    ("path", "option"),
    [
        ("qexp.backend.fleet.FleetFile", "file"),
        ("qexp.backend.fleet.NoFleet", "none"),
        ("qexp.backend.synthetic.Synthetic", "synthetic"),
        ("qexp.backend.live_fleet.LiveFleet", "ibm"),
        ("qexp.workload.catalogue.QCE", "qce"),
        ("qexp.workload.catalogue.MQT50", "mqt50"),
        ("qexp.workload.csv_file.CSV", "csv"),
        ("qexp.workload.arrivals.uniform.Uniform", "uniform"),
        ("qexp.workload.arrivals.poisson.Poisson", "poisson"),
        ("qexp.workload.arrivals.qsimpy.QSimPy", "qsimpy"),
        ("qexp.workload.service_time.clops_depth.ClopsDepth", "clops_depth"),
        ("qexp.workload.service_time.repetition_delay.RepetitionDelay", "repetition_delay"),
        ("qexp.env.reward.completion.Completion", "completion"),
        ("qexp.env.reward.inverse.Inverse", "inverse"),
        ("qexp.env.reward.weighted.Weighted", "weighted"),
        ("qexp.env.scenario.Scenario", "placement"),
        ("qexp.env.gate_scenario.GateScheduling", "gate_scheduling"),
        ("qexp.gates.circuits.basic.Basic", "basic"),
        ("qexp.gates.circuits.workshop.Workshop", "workshop"),
        ("qexp.gates.circuits.mqt.MQT", "mqt"),
        ("qexp.gates.circuits.qasm.QASM", "qasm"),
        ("qexp.scheduler.policy.PolicyScheduler", "policy"),
        ("qexp.scheduler.random.Random", "random"),
        ("qexp.scheduler.round_robin.RoundRobin", "round_robin"),
        ("qexp.scheduler.greedy.Greedy", "greedy"),
        ("qexp.scheduler.greedy_error.GreedyError", "greedy_error"),
        ("qexp.scheduler.least_busy.LeastBusy", "least_busy"),
        ("qexp.scheduler.mct.MCT", "mct"),
        ("qexp.scheduler.met.MET", "met"),
        ("qexp.scheduler.fidelity.Fidelity", "fidelity"),
        ("qexp.scheduler.weighted.Weighted", "weighted"),
        ("qexp.scheduler.clairvoyant.Clairvoyant", "clairvoyant"),
        ("qexp.scheduler.asap.ASAP", "asap"),
        ("qexp.scheduler.alap.ALAP", "alap"),
        ("qexp.scheduler.critical_path.CriticalPath", "critical_path"),
        ("qexp.scheduler.randomised_critical_path.RandomisedCriticalPath", "randomised_critical_path"),
        ("qexp.scheduler.cp_sat.CPSAT", "cp_sat"),
        ("qexp.algo.config.NoTraining", "none"),
        ("qexp.algo.config.A2C", "a2c"),
        ("qexp.algo.config.DQN", "dqn"),
        ("qexp.deploy.none.NoDeployment", "none"),
        ("qexp.deploy.simulator.Simulator", "simulator"),
        ("qexp.deploy.ibm.IBM", "ibm"),
        ("qexp.deploy.local.Local", "local"),
        ("qexp.tracking.local.Local", "local"),
        ("qexp.tracking.off.Off", "off"),
        ("qexp.tracking.server.Server", "server"),
    ],
)
def test_every_former_path_is_the_name_of_an_option(path, option):
    assert with_names({"_target_": path}) == {"_option_": option}
    assert option in {name for options in REGISTRY.values() for name in options}


def test_fleets_were_told_by_their_paths():
    former = {"_target_": "qexp.fleet.fleet.FleetFile", "path": "heron"}
    assert with_names({"backend": former}) == {"backend": {"_option_": "heron", "path": "heron"}}
    mine = with_names({"backend": {**former, "path": "mine.yaml"}})
    assert mine == {"backend": {"_option_": "file", "path": "mine.yaml"}}
    flat = {"backend._target_": "qexp.fleet.fleet.FleetFile", "backend.path": "heron", "seed": 1}
    assert names_with_values(flat) == {"backend._option_": "heron", "backend.path": "heron", "seed": 1}


def test_a_hash_is_of_names_and_not_of_places():
    here = {"scheduler": {"_option_": "mine", "_target_": "here.Mine", "a": 1}, "deploy": {}}
    there = {"scheduler": {"_option_": "mine", "_target_": "there.Mine", "a": 1}, "deploy": {}}
    assert config_hash(here) == config_hash(there)
    listed = [
        {"eval": {"baselines": [{"mine": {"_target_": place}}]}, "deploy": {}} for place in ("x.M", "y.M")
    ]
    assert config_hash(listed[0]) == config_hash(listed[1])
    assert config_hash({**here, "scheduler": {"_option_": "other", "a": 1}}) != config_hash(here)


@pytest.mark.slow
def test_the_report_of_a_complete_campaign_is_the_one_it_had(qexp, old):
    """In that version a list's `weighted` was the chosen one, with its settings."""
    table = old / "complete" / "gap_schedulers.csv"
    before = pd.read_csv(table)
    table.unlink()
    assert qexp("gap", str(old / "complete")).status == 0
    after = pd.read_csv(table)
    pd.testing.assert_frame_equal(after, before)
    # The campaign ran in the simulator: replayed with the scheduler that ran, it gives what was measured.
    ran = after[after["ran"]]
    assert dict(zip(ran["scheduler"], ran["replayed"], strict=True)) == pytest.approx(
        dict(zip(ran["scheduler"], ran["measured"], strict=True))
    )


def test_a_campaign_goes_on_with_the_settings_it_began_with(old):
    config = OmegaConf.load(old / "campaign" / "config.yaml")
    roster = Roster.of(validate(config))
    assert is_former(old / "campaign" / "config.yaml")
    roster.rename()
    assert (roster.chosen, roster.campaign) == ("weighted", ["weighted", "mct"])
    assert roster.compared.count("weighted") == 1
    assert roster.schedulers["weighted"].fidelity_weight == config.scheduler.fidelity_weight == 0.9
    assert "weighted" not in roster.shared  # what others of that name found is not this one's
    assert not any(" " in name for name in roster.schedulers)


@pytest.mark.ray
def test_training_goes_on_from_a_checkpoint(qexp, old):
    ended = qexp(f"resume={old / 'training'}")
    assert (ended.status, ended.err) == (0, "")
    assert "training continues from iteration_000005" in ended.out
    history = pd.read_csv(old / "training" / "training.csv")
    assert list(history["iteration"]) == list(range(1, len(history) + 1))
    assert history["env_steps"].iloc[-1] >= 12_000
    assert {"a2c", "mct"} == set(pd.read_csv(old / "training" / "leaderboard.csv")["scheduler"])
    assert load_policy(old / "training").environment == "placement"
