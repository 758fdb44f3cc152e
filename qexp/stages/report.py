"""Writing down the result of a run: files, pictures, and the tracker's entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qexp.algo.checkpoint import drop_memories
from qexp.config.plots import plot_format
from qexp.errors import DivergenceError, interrupt_behind
from qexp.report.leaderboard import LeaderboardRow, metrics
from qexp.report.wording import metric_part
from qexp.runfolder import CHECKPOINTS, COMPLETED, FAILED, PLANNED, RESULT_FILE
from qexp.stages.evaluation import Evaluation
from qexp.stages.run import Result, Run

CAMPAIGN_FILES = (
    *("journal.db", "gap.json", "gap_tasks.csv", "gap_segments.csv", "gap_machines.csv"),
    *("gap_schedulers.csv", "gap_shadows.csv", "calibration.json", "report.html"),
)
FILES = ("config.yaml", RESULT_FILE, "leaderboard.csv", "episodes.csv")


def write_result(
    run: Run,
    evaluation: Evaluation,
    rows: list[LeaderboardRow],
    deployment: dict[str, Any] | None,
    *,
    planned: bool,
) -> Result:
    """Write the run folder's files and pictures.

    Args:
        run: The run.
        evaluation: The measurements.
        rows: The leaderboard.
        deployment: The campaign's figures, or None.
        planned: Whether the campaign waits to be confirmed.
    """
    folder, roster, settings = run.folder, run.roster, run.resolved
    status, error = COMPLETED, None
    if (reason := evaluation.failed.get(roster.chosen)) is not None:
        status, error = FAILED, f"{roster.chosen} failed: {reason}"
    elif planned:
        status = PLANNED
    elif deployment is not None and not deployment["tasks"].get("done"):
        status, error = FAILED, "no task of the campaign was done"
    result = Result(folder.path, rows, run.training, run.tracker.run_id, deployment, status, error)
    if (kind := plot_format(settings["plots"])) and not evaluation.episodes.empty:
        _draw(run, evaluation, kind)
    _write_files(run, evaluation, result)  # result.json comes last: who sees it can read all others
    drop_memories(folder.path / CHECKPOINTS)
    return result


def _write_files(run: Run, evaluation: Evaluation, result: Result) -> None:
    import pandas as pd

    folder, metric, training = result.folder, evaluation.metric, result.training
    rows = [row.record(metric) for row in result.rows]
    pd.DataFrame(rows).to_csv(folder / "leaderboard.csv", index=False)
    evaluation.episodes.to_csv(folder / "episodes.csv", index=False)
    evaluation.tasks.to_csv(folder / metric.details, index=False)
    record: dict[str, Any] = {"training": None, "deployment": result.deployment}
    if training is not None:
        pd.DataFrame(training.history).to_csv(folder / "training.csv", index=False)
        keys = ("env_steps", "seconds", "env_steps_per_second")
        record["training"] = {key: getattr(training, key) for key in keys}
    record |= {"decider": run.roster.chosen, "leaderboard": rows}
    error = {} if result.error is None else {"error": result.error}
    run.folder.write_json(RESULT_FILE, _head(run, result.status) | error | record)


def _draw(run: Run, evaluation: Evaluation, kind: str) -> None:
    import pandas as pd

    from qexp.report import plots

    plots.write(
        run.folder.path / "plots",
        run.problem,
        episodes=evaluation.episodes,
        tasks=evaluation.tasks,
        seed=run.resolved["eval"]["seed"],
        training=None if run.training is None else pd.DataFrame(run.training.history),
        learned=None if run.roster.learned in evaluation.failed else run.roster.learned,
        format=kind,
    )


def write_failure(run: Run, error: BaseException) -> None:
    """Record that a run failed or was interrupted, and by what.

    Args:
        run: The run.
        error: What ended it.
    """
    status = "KILLED" if interrupt_behind(error) else FAILED  # MLflow's words
    rest: dict[str, Any] = {"error": repr(error), "training": None, "deployment": None, "leaderboard": []}
    if isinstance(error, DivergenceError):
        import pandas as pd

        rest["error"] = str(error)
        pd.DataFrame(error.history).to_csv(run.folder.path / "training.csv", index=False)
    run.folder.write_json(RESULT_FILE, _head(run, status) | rest)


def _head(run: Run, status: str) -> dict[str, Any]:
    return {"status": status, **run.identity, "mlflow_run_id": run.tracker.run_id}


def log_result(run: Run, result: Result) -> None:
    """Give the tracker the run's figures, files and policy; all of it is on disk, whatever becomes of that.

    The figures of the scheduler that the run is about are also logged as `eval/chosen/...`, under which those
    of runs with different schedulers stand side by side.

    Args:
        run: The run.
        result: Its result.
    """
    tracker, problem = run.tracker, run.problem
    if result.status == FAILED:
        tracker.outcome = "FAILED"
    chosen = [replace(row, scheduler="chosen") for row in result.rows if row.scheduler == run.roster.chosen]
    tracker.log_metrics(metrics([*chosen, *result.rows], problem.metric))
    for name in (*FILES, problem.metric.details):
        tracker.log_artifacts(result.folder / name)
    # An earlier run in the same folder may have left what this one did not make.
    if run.resolved["plots"]:
        tracker.log_artifacts(result.folder / "plots", "plots")
    if result.deployment is not None:
        tracker.log_metrics(_campaign_metrics(result.deployment))
        for name in CAMPAIGN_FILES:
            tracker.log_artifacts(result.folder / name, "campaign")
    if result.training is not None:
        tracker.log_artifacts(result.folder / "training.csv")
        tracker.log_artifacts(result.folder / "policy", "policy")
        observation, _ = problem.make_vector_env(4).reset(seed=0)
        if isinstance(observation, dict):  # training with the flat layout is refused
            tracker.log_policy(result.folder / "policy", observation)


def _campaign_metrics(deployment: Mapping[str, Any]) -> dict[str, float | None]:
    """Return a campaign's figures as flat metrics named `deploy/...`, and the gap's as they are."""
    figures: dict[str, float | None] = dict(deployment["gap"])
    figures |= {f"deploy/{key}": deployment[key] for key in ("jobs", "quantum_seconds")}
    figures |= {f"deploy/tasks/{state}": count for state, count in deployment["tasks"].items()}
    for name, row in deployment["schedulers"].items():
        figures |= {f"deploy/{metric_part(name)}/{key}": value for key, value in row.items()}
    return figures
