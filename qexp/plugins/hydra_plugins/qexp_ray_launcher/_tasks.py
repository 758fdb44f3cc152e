"""Jobs as Ray tasks. The underscore in the file's name keeps Hydra from importing it at every start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.qexp_ray_launcher.ray_launcher import RayLauncher, RayLauncherConf
from omegaconf import DictConfig, OmegaConf

from qexp.algo.session import ray_session
from qexp.errors import InputError

PASSED_ON = ("QEXP_", "MLFLOW_", "AWS_", "HYDRA_FULL_ERROR")
"""Environment variables that reach the jobs: what they start with."""


def run_all(launcher: RayLauncher, configs: Sequence[DictConfig]) -> list[JobReturn]:
    """Run a job for each config and return what they returned, in order.

    Args:
        launcher: With its settings, after `setup`.
        configs: One per job.

    Raises:
        InputError: The cluster does not answer, or a job does not fit on it.
    """
    settings, cores = launcher.settings, len(os.sched_getaffinity(0))
    with ray_session(0 if settings.address else cores - 1, settings.address):
        import ray

        cpus = ray.cluster_resources().get("CPU", 0)
        for config in configs:
            if (needed := sum(_bundles(settings, config))) > cpus:
                raise InputError(
                    f"hydra.launcher.num_cpus={settings.num_cpus:g}: a job with its environment runners "
                    f"needs {needed:g} CPUs, but there are {cpus:g}"
                )
        # Shared by all tasks: a whole hydra context for each would fill the cluster's memory.
        shared = ray.put(
            (launcher.hydra_context, launcher.task_function, Singleton.get_state(), str(Path.cwd()))
        )
        return _gather(ray, [_Job(ray, settings, config, shared) for config in configs])


def _bundles(settings: RayLauncherConf, config: DictConfig) -> list[float]:
    """Return the CPUs of a job and of each of its environment runners."""
    runners = OmegaConf.select(config, "algo.num_env_runners", default=0)
    return [settings.num_cpus] + [1.0] * runners


class _Job:
    """A task, and the CPUs set aside for it and its environment runners.

    They are reserved together: jobs that each hold one CPU and wait for another would wait for ever.
    """

    def __init__(self, ray: Any, settings: RayLauncherConf, config: DictConfig, shared: Any) -> None:
        from ray.util import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        self.number = config.hydra.job.num
        self.place: Any = None
        environment = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        options: dict[str, Any] = {
            "num_cpus": settings.num_cpus,
            "max_retries": settings.max_retries,
            "runtime_env": {"env_vars": environment},
        }
        bundles = _bundles(settings, config)
        if len(bundles) > 1:
            self.place = placement_group([{"CPU": cpus} for cpus in bundles])
            options["scheduling_strategy"] = PlacementGroupSchedulingStrategy(
                self.place, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
            )
        self.answer = ray.remote(**options)(_run).remote(shared, config)

    def result(self, ray: Any) -> JobReturn:
        """Return what the job returned, or what stands for one that never did; print what it printed."""
        job: JobReturn
        try:
            job, printed = ray.get(self.answer)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            job, printed = JobReturn(status=JobStatus.COMPLETED), f"job {self.number}: FAILED: {reason}\n"
            job.return_value = None
        print(printed, end="", flush=True)  # noqa: T201 -- in one piece
        self.leave()
        return job

    def leave(self) -> None:
        """Give back what was reserved."""
        from ray.util import remove_placement_group

        if self.place is not None:
            remove_placement_group(self.place)


def _gather(ray: Any, jobs: Sequence[_Job]) -> list[JobReturn]:
    running = {job.answer: job for job in jobs}
    returned: dict[Any, JobReturn] = {}
    try:
        while running:
            (ready,), _ = ray.wait(list(running), num_returns=1)
            returned[ready] = running.pop(ready).result(ray)
    finally:
        # After an interrupt: nobody waits for these any more.
        for answer, job in running.items():
            ray.cancel(answer, force=True)
            job.leave()
    return [returned[job.answer] for job in jobs]


def _run(shared: tuple[HydraContext, TaskFunction, Any, str], config: DictConfig) -> tuple[JobReturn, str]:
    """Run a job on whatever node this is; return also what it printed."""
    context, task_function, singletons, folder = shared
    try:
        os.chdir(folder)
    except OSError as error:
        raise RuntimeError(
            f"no folder {folder} on {os.uname().nodename}: nodes of a sweep share a file system"
        ) from error
    Singleton.set_state(singletons)
    setup_globals()
    with redirect_stdout(StringIO()) as printed:
        job = run_job(
            hydra_context=context,
            task_function=task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    return job, printed.getvalue()
