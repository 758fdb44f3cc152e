"""Whole training runs, as users type them: what they leave behind, repeated, limited and interrupted."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from commands import complete, processes, result_of, start, wait_until

from qexp.placement.engine import SimulatedCloud
from qexp.placement.vector_env import PlacementVectorEnv
from qexp.policy import load_policy
from qexp.problem.extract import extract

pytestmark = pytest.mark.ray

EPISODES = 5
# Without the prior even a short training decides otherwise than mct: what is compared is the training.
A2C = ("algo=a2c", "algo.env_steps=20000", "algo.prior=0", f"eval.episodes={EPISODES}")
QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "eval.baselines=[mct]")
HEURISTICS = {
    *("random", "round_robin", "greedy", "greedy_error", "least_busy"),
    *("mct", "met", "fidelity", "weighted", "clairvoyant"),
}
LEADERBOARD = [
    *(
        "scheduler",
        "episodes",
        "total_completion_time_mean",
        "total_completion_time_iqm",
        "ci_low",
        "ci_high",
    ),
    *("vs_mct_pct", "vs_mct_ci_low_pct", "vs_mct_ci_high_pct", "win_rate_vs_mct", "reschedules_mean"),
    "gap_closed",
]
EPISODE_COLUMNS = [
    *("scheduler", "episode", "tasks", "total_completion_time", "rescheduling_delay", "total_wait"),
    *("total_service", "makespan", "reschedules", "mean_esp"),
]


@dataclass(frozen=True)
class Trained:
    """A finished training run."""

    folder: Path
    store: str
    out: str

    @property
    def result(self):
        return result_of(self.folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One A2C run, tracked; the tests of this module look at it from all sides."""
    here = tmp_path_factory.mktemp("trained")
    store = f"sqlite:///{here / 'mlflow.db'}"
    out = complete(*A2C, f"tracking.uri={store}", f"hydra.run.dir={here / 'run'}", cwd=here)
    return Trained(here / "run", store, out)


@pytest.fixture(scope="module")
def mlflow_client(trained):
    import mlflow

    # Some of what the client does, it does in the default store.
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(trained.store)
    yield mlflow.MlflowClient(trained.store)
    mlflow.set_tracking_uri(before)


def test_the_run_folder_keeps_its_contract(trained):
    files = {path.name for path in trained.folder.iterdir()}
    assert files >= {
        *("result.json", "leaderboard.csv", "episodes.csv", "tasks.csv", "training.csv", "config.yaml"),
        *("policy", "plots", "checkpoints"),
    }
    plots = {path.name: path.read_bytes() for path in (trained.folder / "plots").iterdir()}
    assert plots.keys() == {"learning_curve.png", "completion_time.png", "gantt.png", "utilisation.png"}
    assert all(png.startswith(b"\x89PNG") and len(png) > 5000 for png in plots.values())

    result = trained.result
    assert result["status"] == "COMPLETED"
    assert result["seed"] == 0
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", result["config_hash"])
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", result["fleet_hash"])
    assert {"qexp", "python", "numpy", "ray", "torch"} <= result["versions"].keys()
    assert result["mlflow_run_id"]
    training = result["training"]
    assert training["env_steps"] >= 20000
    assert training["env_steps_per_second"] == pytest.approx(training["env_steps"] / training["seconds"])
    config = yaml.safe_load((trained.folder / "config.yaml").read_text())
    assert config["algo"]["env_steps"] == 20000
    assert config["eval"]["seed"] == 0


def test_the_leaderboard_sums_up_the_episodes(trained):
    rows = trained.result["leaderboard"]
    assert {row["scheduler"] for row in rows} == {"a2c", *HEURISTICS}
    assert all(list(row) == LEADERBOARD for row in rows)
    means = [row["total_completion_time_mean"] for row in rows]
    assert means == sorted(means)
    table = pd.read_csv(trained.folder / "leaderboard.csv")
    assert list(table.columns) == LEADERBOARD
    assert table["scheduler"].tolist() == [row["scheduler"] for row in rows]

    episodes = pd.read_csv(trained.folder / "episodes.csv")
    assert list(episodes.columns) == EPISODE_COLUMNS
    assert len(episodes) == len(rows) * EPISODES
    totals = episodes.pivot_table(index="episode", columns="scheduler", values="total_completion_time")
    for row in rows:
        mine, mct = totals[row["scheduler"]], totals["mct"]
        assert row["episodes"] == EPISODES
        assert row["total_completion_time_mean"] == pytest.approx(mine.mean())
        assert row["vs_mct_pct"] == pytest.approx(100 * (mine.mean() / mct.mean() - 1), abs=1e-9)
        assert row["ci_low"] <= row["total_completion_time_mean"] <= row["ci_high"]
    parts = episodes[["rescheduling_delay", "total_wait", "total_service"]].sum(axis=1)
    assert parts.to_numpy() == pytest.approx(episodes["total_completion_time"].to_numpy())

    tasks = pd.read_csv(trained.folder / "tasks.csv")
    assert len(tasks) == 25 * len(episodes)
    sums = tasks.groupby(["scheduler", "episode"])[["wait", "service", "delay"]].sum().sum(axis=1)
    for row in episodes.itertuples():
        assert sums[row.scheduler, row.episode] == pytest.approx(row.total_completion_time)


def test_the_training_is_on_record(trained):
    history = pd.read_csv(trained.folder / "training.csv")
    assert history["iteration"].tolist() == list(range(1, len(history) + 1))
    assert history["env_steps"].is_monotonic_increasing
    assert history["env_steps"].iloc[-1] == trained.result["training"]["env_steps"]
    assert {"loss", "entropy", "episode_return_mean", "seconds"} <= set(history.columns)
    checkpoints = sorted((trained.folder / "checkpoints").iterdir())
    assert checkpoints[-1].name == f"iteration_{len(history):06d}"


def test_what_is_printed_names_the_outcome(trained):
    assert "a2c" in trained.out
    assert "clairvoyant" in trained.out
    assert f"run folder: {trained.folder.name}" in trained.out
    assert "Traceback" not in trained.out


def test_mlflow_has_parameters_metrics_tags_and_files(trained, mlflow_client):
    result = trained.result
    run = mlflow_client.get_run(result["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert (params["env.tasks"], params["algo.env_steps"], params["seed"]) == ("25", "20000", "0")
    tags = run.data.tags
    for key in ("config_hash", "fleet_hash"):
        assert tags[key] == result[key]
    assert (tags["seed"], tags["algo"], tags["backend"], tags["env.arrivals"]) == (
        "0",
        "a2c",
        "qce5",
        "uniform",
    )
    assert tags["run_folder"] == str(trained.folder)

    history = pd.read_csv(trained.folder / "training.csv")
    for column in set(history.columns) - {"iteration"}:
        logged = mlflow_client.get_metric_history(run.info.run_id, f"train/{column}")
        rows = history[["iteration", column]].dropna()
        assert [(m.step, m.value) for m in sorted(logged, key=lambda m: m.step)] == [
            (int(step), pytest.approx(value)) for step, value in rows.itertuples(index=False)
        ]
    for row in result["leaderboard"]:
        for key in set(LEADERBOARD) - {"scheduler", "gap_closed"}:
            assert run.data.metrics[f"eval/{row['scheduler']}/{key}"] == pytest.approx(row[key])

    def listed(folder=None):
        return {item.path for item in mlflow_client.list_artifacts(run.info.run_id, folder)}

    assert listed() >= {"config.yaml", "result.json", "leaderboard.csv", "episodes.csv", "plots", "policy"}
    assert "plots/learning_curve.png" in listed("plots")
    assert listed("policy") >= {"policy/policy.json", "policy/policy.safetensors"}


def test_mlflows_model_predicts_what_the_bundle_decides(trained, mlflow_client, qce25):
    import mlflow

    run = mlflow_client.get_run(trained.result["mlflow_run_id"])
    [logged] = mlflow_client.search_logged_models([run.info.experiment_id])
    assert logged.source_run_id == run.info.run_id
    model = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    assert not list(Path(logged.artifact_location.removeprefix("file://")).rglob("*.pkl"))
    policy = load_policy(trained.folder)
    env = PlacementVectorEnv(qce25, 16)
    observation, _ = env.reset(seed=9)
    chosen = []
    for _ in range(30):
        actions = policy.decide(observation["task"], observation["nodes"], observation["action_mask"])
        assert model.predict(observation).tolist() == actions.tolist()
        chosen += actions.tolist()
        observation, *_ = env.step(actions)
    assert len(set(chosen)) > 2


def test_a_reloaded_policy_repeats_the_rows_of_its_training(trained, tmp_path):
    complete(
        *("scheduler=policy", f"scheduler.path={trained.folder}", f"eval.episodes={EPISODES}"),
        *("tracking=off", "plots=false", "hydra.run.dir=again"),
        cwd=tmp_path,
    )
    again, before = (pd.read_csv(run / "episodes.csv") for run in (tmp_path / "again", trained.folder))
    assert result_of(tmp_path / "again")["training"] is None

    def rows(table, name):
        return table[table["scheduler"] == name].drop(columns="scheduler").reset_index(drop=True)

    pd.testing.assert_frame_equal(rows(again, "policy"), rows(before, "a2c"), check_exact=True)
    for name in HEURISTICS:
        pd.testing.assert_frame_equal(rows(again, name), rows(before, name), check_exact=True)
    # The training had a say: the rows are not mct's.
    assert not rows(before, "a2c").equals(rows(before, "mct"))


def test_the_last_checkpoint_holds_the_runs_policy_bit_for_bit(trained, tmp_path):
    last = max((trained.folder / "checkpoints").iterdir())
    extracted = extract(last, tmp_path / "policy")
    for path in (trained.folder / "policy").iterdir():
        assert path.read_bytes() == (extracted / path.name).read_bytes()


def test_the_bundle_says_where_it_comes_from(trained, qce25):
    policy = load_policy(trained.folder / "policy")
    result = trained.result
    assert policy.algorithm == "a2c"
    for key in ("seed", "config_hash", "fleet_hash", "versions"):
        assert policy.description[key] == result[key]
    assert policy.description["architecture"]["prior"] == 0
    cloud = SimulatedCloud(qce25.fleet, qce25.episode(0, 0))
    assert 0 <= policy.act(cloud.task_state(), cloud.node_state()) < len(qce25.fleet)


def test_the_same_seed_gives_the_same_leaderboard(trained, tmp_path):
    complete(*A2C, "tracking=off", "plots=false", "hydra.run.dir=run", cwd=tmp_path)
    assert result_of(tmp_path / "run")["leaderboard"] == trained.result["leaderboard"]
    for name in ("episodes.csv", "tasks.csv", "policy/policy.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (trained.folder / name).read_bytes()


@pytest.mark.parametrize("random_fleets", [False, True])
def test_dqn_trains_under_its_own_name(tmp_path, random_fleets):
    complete(
        f"algo.fleet_randomisation={str(random_fleets).lower()}",
        *("algo=dqn", "algo.env_steps=4000", "algo.learning_starts=500", "algo.steps_per_iteration=1000"),
        *("algo.num_envs=8", "algo.target_update=1000", *QUICK, "hydra.run.dir=run"),
        cwd=tmp_path,
    )
    result = result_of(tmp_path / "run")
    assert {row["scheduler"] for row in result["leaderboard"]} == {"dqn", "mct"}
    assert result["training"]["env_steps"] >= 4000
    policy = load_policy(tmp_path / "run")
    assert (policy.algorithm, policy.description["fleet_randomisation"]) == ("dqn", random_fleets)
    tasks = pd.read_csv(tmp_path / "run" / "tasks.csv")  # whatever it was trained on, five machines are used
    assert set(tasks["node"]) <= {"washington", "kolkata", "hanoi", "perth", "lagos"}
    history = pd.read_csv(tmp_path / "run" / "training.csv")
    assert history["q_loss"].notna().any()


def test_a_time_limit_ends_training(tmp_path):
    seconds = 3
    complete(
        *("algo=a2c", "algo.env_steps=null", f"algo.seconds={seconds}", *QUICK, "hydra.run.dir=run"),
        cwd=tmp_path,
    )
    training = result_of(tmp_path / "run")["training"]
    # The iteration that crosses the limit is finished.
    assert seconds <= training["seconds"] < seconds + 5


def test_training_without_a_limit_is_refused(tmp_path):
    process = start("algo=a2c", "algo.env_steps=null", "algo.seconds=null", cwd=tmp_path)
    out, err = process.communicate()
    assert process.returncode == 2
    assert out == ""
    assert err.count("\n") == 1
    assert "algo.env_steps" in err
    assert "algo.seconds" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds a run's processes in /proc")
@pytest.mark.parametrize("whole_group", [True, False], ids=["ctrl-c", "kill -INT"])
def test_an_interrupt_ends_the_run_cleanly(tmp_path, whole_group):
    store, mark = f"sqlite:///{tmp_path / 'mlflow.db'}", f"{tmp_path.name}-{os.getpid()}"
    process = start(
        *("algo=a2c", "algo.env_steps=null", "algo.seconds=300", "algo.checkpoint_every=2"),
        *(f"tracking.uri={store}", "hydra.run.dir=run"),
        cwd=tmp_path,
        mark=mark,
    )
    try:
        checkpoints = tmp_path / "run" / "checkpoints"
        wait_until(lambda: list(checkpoints.glob("iteration_*")), 100, process)
        assert any("raylet" in command for command in processes(mark))
        if whole_group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert err == "qexp: interrupted\n"
    wait_until(lambda: not processes(mark), 10)

    from mlflow import MlflowClient

    result = result_of(tmp_path / "run")
    assert MlflowClient(store).get_run(result["mlflow_run_id"]).info.status == "KILLED"
    assert result["status"] == "KILLED"
    assert result["leaderboard"] == []
    assert not (tmp_path / "run" / "policy").exists()
    # What was learned until then can still be had.
    last = max(checkpoints.glob("iteration_*"))
    assert load_policy(extract(last, tmp_path / "rescued")).algorithm == "a2c"
