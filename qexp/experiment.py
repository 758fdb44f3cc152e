"""One run, from a configuration to its result: train, evaluate, deploy, report.

The command line, `qexp.experiment` and `qexp.Experiment` all come here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from qexp.config.build import make
from qexp.config.schema import validate
from qexp.deploy.campaign.run import clear_journal, resume_hint
from qexp.errors import InputError, interrupt_behind
from qexp.fleet.fleet import FleetSource, fleet_of_run, record_fleet
from qexp.problem.problem import DecisionProblem
from qexp.problem.roster import Roster
from qexp.report.progress import report_console
from qexp.runfolder import RunFolder, relative
from qexp.stages import Deploy, Evaluate, Report, Stage, Train, Work
from qexp.stages.record import Identity, Result, run_name, write_failure
from qexp.stages.resume import keep_limits, unfinished
from qexp.tracking import Tracking


def run(
    config: DictConfig | Mapping[str, Any],
    folder: RunFolder,
    *,
    resume: bool = False,
    shared: Path | None = None,
) -> Result:
    """Run an experiment.

    Args:
        config: A composed or a resolved configuration.
        folder: Where the files go.
        resume: Continue the run that the folder holds, if it has the same config and is not complete: from
            its last checkpoint, in its MLflow run. Whatever else is there is replaced.
        shared: Folder in which runs that are evaluated alike share the evaluations of the baselines, or None.

    Raises:
        InputError: Something in the config cannot be used; nothing was written.
    """
    resolved = validate(config)
    source = make(resolved["backend"], FleetSource)
    fleet = fleet_of_run(source, folder.path, begun=resume)
    problem = make(resolved["env"], DecisionProblem, fleet=fleet, held_out=resolved["eval"]["episodes"])
    identity = Identity.of(resolved, problem.machines_hash)
    work = Work(resolved, problem, Roster.of(resolved), identity, folder, report_console(), resume, shared)
    report = Report(work)
    stages: list[Stage] = [Train(work), Evaluate(work), Deploy(work), report]
    for note in problem.notes:
        work.say(f"note: {note}", markup=False)
    for stage in stages:
        stage.prepare()
    work.begun = unfinished(folder, resolved, identity, work.console) if resume else {}
    if not work.begun:
        clear_journal(folder.path)
    name = run_name(resolved, work.roster.chosen, problem.label, folder.path)
    with make(resolved["tracking"], Tracking).start(
        name, run_id=work.begun.get("mlflow_run_id"), folder=folder.path
    ) as work.tracker:
        try:
            _begin(work)
            record_fleet(source, fleet, folder.path)
            for stage in stages:
                stage.run()
        except BaseException as error:
            _fail(error, work, stages)
            raise
        report.log()
    work.say(f"run folder: {relative(folder.path)}")
    assert work.result is not None
    return work.result


def _begin(work: Work) -> None:
    """Write down what this run is, unless it continues one that has begun."""
    folder, identity, begun = work.folder, work.identity, work.begun
    if begun:
        folder.forget_result()
        keep_limits(folder, work.resolved)
    else:
        folder.forget_run()
        OmegaConf.save(OmegaConf.create(dict(work.resolved)), folder.path / "config.yaml")
    logged = begun.get("mlflow_run_id")
    if logged is None or work.tracker.run_id != logged:
        work.tracker.log_params(work.resolved)
        work.tracker.log_params(identity.choices)
        work.tracker.set_tags({**identity.tags, "run_folder": str(folder.path)})
    folder.begin(identity.of_run | begun | {"mlflow_run_id": work.tracker.run_id or logged})


def _fail(error: BaseException, work: Work, stages: list[Stage]) -> None:
    """Record that a run failed or was interrupted, and say how to resume it."""
    # Refused input leaves nothing behind, but what was trained is kept.
    if work.training is not None or not isinstance(error, InputError):
        write_failure(error, work.identity, work.folder, work.tracker)
    # A sweep is resumed as a whole.
    if work.shared is None and any(stage.resumable for stage in stages) and interrupt_behind(error):
        work.say(resume_hint(work.folder.path))
