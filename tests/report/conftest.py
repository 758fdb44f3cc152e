"""A throw-away cloud: real-looking episodes for the report without the simulator it reports on."""

import numpy as np
import pandas as pd
import pytest

NODES = ("washington", "kolkata", "hanoi", "perth", "lagos")
QUBITS = np.array([127, 27, 27, 7, 7])
SLOWNESS = np.array([2.6, 1.1, 0.95, 0.5, 0.55])


def _choose(scheduler, rng, wait, service, fits, position):
    """Node of one task; `a2c` is mct with a taste for leaving the widest machine free."""
    finish = np.where(fits, wait + service, np.inf)
    match scheduler:
        case "random":
            return rng.choice(np.flatnonzero(fits))
        case "round_robin":
            return np.flatnonzero(fits)[position % fits.sum()]
        case "greedy":
            return np.argmin(np.where(fits, wait, np.inf))
        case "met":
            return np.argmin(np.where(fits, service, np.inf))
        case "a2c":
            return np.argmin(finish * np.array([1.25, 1.0, 1.0, 0.95, 0.95]))
        case "clairvoyant":
            return np.argmin(finish + 0.4 * service)
        case _:
            return np.argmin(finish)


def simulate(scheduler, episode, tasks=25, window=60.0):
    """Task rows of one first-come-first-served episode; its number alone determines the tasks."""
    draw = np.random.default_rng(episode)
    arrival = np.sort(draw.uniform(0, window, tasks))
    width = draw.integers(2, 28, tasks)
    work = draw.lognormal(2.2, 0.9, tasks)
    rng = np.random.default_rng((episode, 1))
    free = np.zeros(len(NODES))
    rows = []
    for k in range(tasks):
        wait, service = np.maximum(0, free - arrival[k]), work[k] * SLOWNESS
        node = int(_choose(scheduler, rng, wait, service, width[k] <= QUBITS, k))
        refused = int(scheduler in {"random", "greedy"} and rng.random() < 0.3)
        start = arrival[k] + refused + wait[node]
        free[node] = start + service[node]
        rows.append(
            {
                "scheduler": scheduler,
                "episode": episode,
                "task": k,
                "circuit": f"qft_{width[k]}",
                "width": width[k],
                "shots": 1024,
                "node": NODES[node],
                "arrival": arrival[k],
                "placement": arrival[k] + refused,
                "start": start,
                "finish": free[node],
                "wait": wait[node],
                "service": service[node],
                "delay": float(refused),
                "reschedules": refused,
                "esp": 0.5,
            }
        )
    return rows


@pytest.fixture(scope="session")
def tasks():
    """Task rows of seven schedulers on the same forty episodes."""
    schedulers = ("random", "round_robin", "greedy", "met", "mct", "a2c", "clairvoyant")
    return pd.DataFrame([row for s in schedulers for k in range(40) for row in simulate(s, k)])


@pytest.fixture(scope="session")
def episodes(tasks):
    """Episode rows made of the task rows."""
    total = tasks.assign(total=tasks["wait"] + tasks["service"] + tasks["delay"])
    return (
        total.groupby(["scheduler", "episode"], sort=False)
        .agg(
            tasks=("task", "size"),
            total_completion_time=("total", "sum"),
            rescheduling_delay=("delay", "sum"),
            total_wait=("wait", "sum"),
            total_service=("service", "sum"),
            makespan=("finish", "max"),
            reschedules=("reschedules", "sum"),
            mean_esp=("esp", "mean"),
        )
        .reset_index()
    )


@pytest.fixture(scope="session")
def training():
    """A noisy learning curve that starts above and ends below mct, seconds of total completion time."""
    rng = np.random.default_rng(0)
    steps = np.arange(1, 151) * 6400
    curve = 1050 + 900 * np.exp(-steps / 1.2e5) + rng.normal(0, 25, steps.size)
    return pd.DataFrame(
        {
            "iteration": np.arange(1, 151),
            "env_steps": steps,
            "seconds": steps / 9000.0,
            "episode_total_completion_time_mean": curve,
        }
    )
