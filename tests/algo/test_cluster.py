"""Training and sweeps on a Ray cluster of two nodes, and the loss of one."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.ray

QUICK = ("tracking=off", "plots=false", "eval.episodes=2", "eval.baselines=[mct]", "env.tasks=5")


@pytest.mark.parametrize("kind", ["a2c", "dqn"])
def test_runners_work_on_the_worker_node_and_training_survives_its_loss(kind, cluster, script, tmp_path):
    seen = script("train_through_a_loss.py", kind, cluster.address, cluster.worker.pid, cwd=tmp_path)
    assert len(seen["before"]) == 2
    assert seen["head"] not in seen["before"]
    # The head has room for one of the two.
    assert seen["after"] == [seen["head"]]
    assert seen["steps_before"] < seen["env_steps"]
    assert seen["env_steps"] >= 14_000
    assert seen["steps"] == sorted(set(seen["steps"])), "steps counted before the loss stay counted"


def test_jobs_of_a_sweep_run_on_the_cluster(cluster, python, tmp_path):
    done = python(
        *("-m", "qexp", "-m", "hydra/launcher=ray", f"ray.address={cluster.address}"),
        *("scheduler=mct,greedy", "seed=1,2", "sweep=quick", *QUICK),
        cwd=tmp_path,
    )
    assert done.status == 0, done.out + done.err
    results = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/sweeps/quick/*/result.json")]
    assert {(r["options"]["scheduler"], r["seed"]) for r in results} == {
        (scheduler, seed) for scheduler in ("mct", "greedy") for seed in (1, 2)
    }
    assert all(result["status"] == "COMPLETED" for result in results)
    assert len(re.findall(r"^job \d: ", done.out, flags=re.MULTILINE)) == 4


def test_jobs_that_train_bring_their_environment_runners(cluster, python, tmp_path):
    """Two jobs of two CPUs each on three CPUs: one waits for the other, and neither for ever."""
    done = python(
        *("-m", "qexp", "-m", "hydra/launcher=ray", f"ray.address={cluster.address}", "sweep=train"),
        *("algo=a2c", "algo.env_steps=1000", "algo.num_env_runners=1", "seed=1,2", *QUICK),
        cwd=tmp_path,
    )
    assert done.status == 0, done.out + done.err
    results = [json.loads(path.read_text()) for path in tmp_path.glob("outputs/sweeps/train/*/result.json")]
    assert [result["status"] for result in results] == ["COMPLETED"] * 2
    assert {result["seed"] for result in results} == {1, 2}


def test_jobs_whose_node_is_lost_run_again_elsewhere(cluster, tmp_path):
    command = [sys.executable, "-m", "qexp", "-m", "hydra/launcher=ray", f"ray.address={cluster.address}"]
    command += ["sweep=loss", "seed=1,2,3", "tracking=off", "plots=false", "eval.episodes=1500"]
    sweep = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    folder = tmp_path / "outputs/sweeps/loss"
    try:
        while len(list(folder.glob("*/config.yaml"))) < 3:  # all three CPUs are at work
            assert sweep.poll() is None, sweep.stdout.read()
            time.sleep(0.1)
        assert not list(folder.glob("*/result.json"))
        os.killpg(cluster.worker.pid, signal.SIGKILL)
        out, _ = sweep.communicate(timeout=200)
    finally:
        sweep.kill()
        sweep.wait()
    assert sweep.returncode == 0, out
    results = [json.loads(path.read_text()) for path in folder.glob("*/result.json")]
    assert [result["status"] for result in results] == ["COMPLETED"] * 3
    # One CPU is left: the others came after it.
    assert len(re.findall(r"^job \d: ", out, flags=re.MULTILINE)) == 3


def test_more_runners_than_the_cluster_has_cpus_is_refused(cluster, python, tmp_path):
    done = python(
        *("-m", "qexp", "algo=a2c", "algo.num_env_runners=9", f"ray.address={cluster.address}", *QUICK),
        cwd=tmp_path,
    )
    assert done.status == 2
    assert done.err == (
        f"qexp: algo.num_env_runners=9: the Ray cluster at ray.address={cluster.address} has 3 CPUs\n"
    )


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("launcher", [(), ("-m", "hydra/launcher=ray")], ids=["run", "sweep"])
def test_an_address_where_nothing_answers_is_refused_before_training(launcher, python, tmp_path):
    address = f"127.0.0.1:{closed_port()}"
    start = time.monotonic()
    done = python("-m", "qexp", *launcher, "algo=a2c", f"ray.address={address}", *QUICK, cwd=tmp_path)
    assert done.status == 2
    assert re.fullmatch(
        rf"qexp: ray\.address={address}: no Ray cluster answers there \(.*refused\); .*\n", done.err
    )
    assert time.monotonic() - start < 60, "imports included, on a busy machine"


def test_what_answers_must_be_ray():
    from qexp.algo.cluster import join
    from qexp.errors import InputError

    with socket.create_server(("", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(InputError, match="what answers is not Ray"):
            join(f"127.0.0.1:{server.getsockname()[1]}", "ray.address", 0)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [("ray://head:10001", "the Ray client cannot train"), ("head", "give auto, or HOST:PORT")],
)
def test_addresses_of_another_kind_are_refused(address, complaint):
    from qexp.algo.cluster import join
    from qexp.errors import InputError

    with pytest.raises(InputError, match=complaint):
        join(address, "ray.address", 0)
