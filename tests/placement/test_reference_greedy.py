"""The reference's greedy schedulers, told again from their published description and compared bit by bit.

The description: nodes are sorted (stably) by the time they are free, -1 for a node that never worked;
position p of that order is chosen; p starts at 0, rises by one after every refusal, whichever task comes
next, and falls back to 0 after a success. A refused task asks again one second later, before tasks that
arrive at that instant. Subset k = 1, 2, ... arrives at sort(uniform(0.1 + 60 k, 59.9 + 60 k)), one number for
each of its rows, all from one generator seeded with 22; the first tasks take the earliest. Service is
1024 depth / (19.95 CLOPS).
"""

from __future__ import annotations

import bisect
import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[2]
NAMES = ("washington", "kolkata", "hanoi", "perth", "lagos")
QUBITS = (127, 27, 27, 7, 7)
CLOPS = (850, 2000, 2300, 2900, 2700)
# The reference's own table, with the slip of its authors.
READOUT = (0.0069, 0.0388, 0.0072, 0.0370, -0.3428)
SUBSETS, CIRCUITS, TASKS = 20, 26, 25


def reference(path: Path, subsets: int, tasks: int, *, by_error: bool):
    """Return, for each subset, each task's (node, wait, service, reschedules) in file order."""
    rows: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["subset"], []).append(row)
    generator = np.random.default_rng(22)
    played = []
    for k, circuits in enumerate(list(rows.values())[:subsets], start=1):
        arrivals = sorted(generator.uniform(0.1 + 60 * k, 59.9 + 60 * k, size=len(circuits)))
        # (time, 0 for a returned task and 1 for a new one, turn, task)
        events = [(arrivals[i], 1, i, i) for i in range(min(tasks, len(circuits)))]
        turn = len(events)
        free = [-1.0] * len(NAMES)
        position = 0
        log: dict[int, tuple[str, float, float, int]] = {}
        refused = dict.fromkeys(range(len(circuits)), 0)
        while events:
            now, _, _, task = events.pop(0)
            order = sorted(range(len(NAMES)), key=lambda n: (free[n], READOUT[n] if by_error else 0))
            node = order[position]
            depth = int(circuits[task][f"ibmq{QUBITS[node]}_depth"])
            if depth == -1:
                position += 1
                refused[task] += 1
                turn += 1
                bisect.insort(events, (now + 1.0, 0, turn, task))
                continue
            position = 0
            service = 1024 * depth / (CLOPS[node] * 19.95)
            log[task] = (NAMES[node], max(free[node] - now, 0.0), service, refused[task])
            free[node] = max(free[node], now) + service
        played.append([log[i] for i in sorted(log)])
    return played


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, write_dataset):
    """Twenty subsets of 26 circuits of 2 to 27 qubits; wide ones fit three machines, narrow ones five."""
    rng = np.random.default_rng(5)
    rows = []
    for subset in range(SUBSETS):
        for c in range(CIRCUITS):
            width = int(rng.integers(2, 28))
            depths = {q: int(rng.lognormal(5.7, 0.8)) if width <= q else -1 for q in (7, 16, 27, 127)}
            rows.append((subset, f"family{c}", width, depths))
    return write_dataset(tmp_path_factory.mktemp("data") / "tasks.csv", rows)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """The default fleet with the reference's readout errors."""
    content = yaml.safe_load((ROOT / "qexp" / "fleet" / "data" / "qce5.yaml").read_text(encoding="utf-8"))
    content.pop("hash")
    assert tuple(node["name"] for node in content["nodes"]) == NAMES
    for node, error in zip(content["nodes"], READOUT, strict=True):
        node["calibration"]["readout_error"] = error
    path = tmp_path_factory.mktemp("fleet") / "reference.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.slow
def test_greedy_and_greedy_error_are_the_references(qexp, dataset, fleet, tmp_path):
    ended = qexp(
        "backend=file",
        f"backend.path={fleet}",
        "env/workload=csv",
        f"env.workload.path={dataset}",
        "env/arrivals=qsimpy",
        "env.mask=false",
        f"env.tasks={TASKS}",
        f"eval.episodes={SUBSETS}",
        "scheduler=greedy",
        "eval.baselines=[greedy_error]",
        "tracking=off",
        "plots=false",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert (ended.status, ended.err) == (0, "")
    ours: dict[tuple[str, int], list[dict[str, str]]] = {}
    with (tmp_path / "run" / "tasks.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            ours.setdefault((row["scheduler"], int(row["episode"])), []).append(row)
    with (tmp_path / "run" / "episodes.csv").open(encoding="utf-8") as file:
        episodes = {(row["scheduler"], int(row["episode"])): row for row in csv.DictReader(file)}
    reschedules = {}
    for name in ("greedy", "greedy_error"):
        theirs = reference(dataset, SUBSETS, TASKS, by_error=name == "greedy_error")
        for k, log in enumerate(theirs):
            assert [int(row["task"]) for row in ours[name, k]] == list(range(TASKS))
            got = [
                (row["node"], float(row["wait"]), float(row["service"]), int(row["reschedules"]))
                for row in ours[name, k]
            ]
            assert got == log
            row = episodes[name, k]
            published = float(row["total_wait"]) + float(row["total_service"])
            assert published == pytest.approx(sum(w + s for _, w, s, _ in log), rel=1e-13)
            assert int(row["reschedules"]) == sum(r for *_, r in log)
            assert float(row["rescheduling_delay"]) == sum(r for *_, r in log)
        reschedules[name] = [sum(r for *_, r in log) for log in theirs]
    # The comparison means something: there are refusals, and the two schedulers differ.
    assert min(reschedules["greedy"]) > 0
    assert reschedules["greedy"] != reschedules["greedy_error"]


@pytest.mark.slow
def test_the_schedulers_do_not_depend_on_the_seed_of_the_run(qexp, dataset, fleet, tmp_path):
    files = []
    for seed in (0, 1):
        run = tmp_path / str(seed)
        ended = qexp(
            "backend=file",
            f"backend.path={fleet}",
            "env/workload=csv",
            f"env.workload.path={dataset}",
            "env/arrivals=qsimpy",
            "env.mask=false",
            "eval.episodes=3",
            "eval.baselines=[]",
            "scheduler=greedy",
            "tracking=off",
            "plots=false",
            f"seed={seed}",
            f"hydra.run.dir={run}",
        )
        assert ended.status == 0
        files.append((run / "tasks.csv").read_bytes())
    assert files[0] == files[1]
