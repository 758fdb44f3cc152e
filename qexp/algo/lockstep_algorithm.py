"""The frame of all algorithms on RLlib: settings, collecting whole rollouts, and how far training is."""

from __future__ import annotations

import hashlib
import logging
import math
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from gymnasium.vector import VectorEnv
from ray import cloudpickle
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils import metrics as keys
from ray.tune.registry import ENV_CREATOR, _global_registry, register_env
from torch import Tensor, nn

from qexp.algo.budget import Budget, linear
from qexp.algo.cluster import learner_seat, stderr_without
from qexp.algo.lockstep import LockstepEnvRunner, Rollout
from qexp.algo.modules import network_input
from qexp.errors import InputError

log = logging.getLogger(__name__)

VectorEnvMaker = Callable[[int], VectorEnv[Any, Any, Any]]
"""Makes a vector environment of so many episodes."""

PATIENCE_SECONDS = 180.0  # that training waits when no environment runner is left
PROBE_SECONDS = 2.0  # between asking lost runners whether they are back
PROBE_ANSWER_SECONDS = 0.1  # that their answer may take: training waits for it

WRONG_WARNING = b"has constructor arguments in the object store and max_restarts > 0"
"""Ray says that such an actor may not start again. RLlib keeps the arguments as long as its runners live."""

FIGURES = "figures"  # key of what a loss has to report, in a learner's results
SEEN_ROWS = 16  # observations that scores are tried on after every iteration

WATCHED = {"total_loss": "the loss", "gradients_default_optimizer_global_norm": "the norm of the gradient"}
"""Figures of a learner's results that show divergence, by RLlib's names."""

LARGEST_SCORE = 1e18  # no policy needs larger ones; much larger ones overflow on features a little larger

PROGRESS = "progress"  # key of the training progress, 0 to 1, in the timesteps of a learner's update
COUNTED = (keys.ENV_RUNNER_RESULTS, keys.NUM_ENV_STEPS_SAMPLED_LIFETIME)  # decisions so far


class LockstepConfig(AlgorithmConfig):
    """Mix this into an RLlib config whose algorithm is a `LockstepAlgorithm`."""

    env_steps: int | None  # decisions after which training is over, for schedules; None for no limit
    seconds: float | None  # training time after which it is over, likewise

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.env_steps = self.seconds = None
        self.lr_final = 0.0  # learning rate at the end
        self.reward_scale = 1.0  # factor on the rewards
        self.hidden, self.prior = 64, 0.0  # as in `Architecture`
        self.architecture: dict[str, Any] = {}  # its fields; numbers of features may follow from observations
        self.api_stack(enable_rl_module_and_learner=True, enable_env_runner_and_connector_v2=True)
        self.framework("torch")
        self.env_runners(env_runner_cls=LockstepEnvRunner, num_env_runners=0)
        self.learners(num_learners=0)
        self.training(grad_clip_by="global_norm")
        self.reporting(min_time_s_per_iteration=None)
        # See LockstepAlgorithm.collect for what happens without a runner, and after its return.
        self.fault_tolerance(
            restart_failed_env_runners=True,
            delay_between_env_runner_restarts_s=0.0,
            env_runner_health_probe_timeout_s=PROBE_ANSWER_SECONDS,
        )
        self.debugging(log_level="ERROR")

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        known = {"hidden": self.hidden, "prior": self.prior, **self.architecture}
        return super()._model_config_auto_includes | {"architecture": known, "sigma0": None}

    def validate(self) -> None:
        """Check the settings, and refuse schedules in steps, as RLlib's own are, with an `InputError`.

        The batch is whatever the environment runners sample together.
        """
        for name, final in (("lr", "lr_final"), ("entropy_coeff", "entropy_final")):
            if isinstance(value := getattr(self, name, None), list | tuple):
                raise InputError(f"{name}={value}: schedules follow progress: set {name} and {final}")
        if isinstance(self.rollout_fragment_length, int):
            envs = self.num_envs_per_env_runner * max(1, self.num_env_runners)
            self.training(train_batch_size_per_learner=self.rollout_fragment_length * envs)
        super().validate()


class LockstepAlgorithm(Algorithm):
    """Mix this into an RLlib algorithm whose environment runners are lockstep runners."""

    _progress: float | None = None
    _own_progress = 0.0
    _next_probe = 0.0
    _there: int | None = None
    _seen: Mapping[str, Any] = MappingProxyType({})
    env_creator: Any
    config: Any
    _logdir: Any
    metrics: Any
    env_runner_group: Any
    learner_group: Any

    def __init__(
        self, config: Any = None, *, environment: tuple[str, VectorEnvMaker] | None = None, **kwargs: Any
    ) -> None:
        if environment is not None:
            _register(*environment)
        super().__init__(config, **kwargs)

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what RLlib constructs this algorithm from when it reads a checkpoint, in any process."""
        args, kwargs = super().get_ctor_args_and_kwargs()
        name = self.config.env
        made = registered_vector_env(name) if isinstance(name, str) else None
        return args, kwargs if made is None else {**kwargs, "environment": (name, made)}

    @property
    def progress(self) -> float:
        """How much of the training is over, 0 to 1, for schedules: what was set before, or by the limits."""
        return self._own_progress if self._progress is None else self._progress

    @progress.setter
    def progress(self, progress: float) -> None:
        self._progress = progress

    def step(self) -> Any:
        """Run one iteration of ``train()``."""
        config = self.config
        if config.env_steps is not None or config.seconds is not None:
            budget = Budget(config.env_steps, config.seconds)
            self._own_progress = budget.progress(self.metrics.peek(COUNTED, default=0), self._time_total)
        return super().step()

    def _setup_logdir(self) -> None:
        # RLlib would leave an empty folder in the user's home for every run.
        self._logdir_keeper = tempfile.TemporaryDirectory(prefix="qexp-rllib-")
        self._logdir = self._logdir_keeper.name

    def cleanup(self) -> None:
        """Stop the environment runners and learners, and remove RLlib's folder."""
        super().cleanup()
        self._logdir_keeper.cleanup()

    def setup(self, config: Any) -> None:
        """Build learner and environment runners."""
        # Lockstep runners find their environment themselves. RLlib would hand its creator to each as well,
        # which may hold a whole fleet: too large for Ray to keep until a lost runner starts again.
        self.env_creator = None
        with learner_seat(), stderr_without(WRONG_WARNING):
            super().setup(config)

    def collect(self, **exploration: Any) -> dict[int, Rollout]:
        """Sample one rollout from every environment runner there is.

        A remote runner that is lost with its node is missing until Ray has started it again, somewhere else
        if need be; it then begins new episodes. Only when none is left does training wait.

        Returns:
            Rollouts by the runner's number, at least one; the local runner's is 0.

        Raises:
            RuntimeError: A runner failed by its own fault, or all were lost and none came back.
        """
        with self.metrics.log_time((keys.TIMERS, keys.ENV_RUNNER_SAMPLING_TIMER)):
            answers = self._ask(exploration)
        self.metrics.aggregate([metrics for _, _, metrics in answers], key=keys.ENV_RUNNER_RESULTS)
        return {number: rollout for number, rollout, _ in answers}

    def _ask(self, exploration: dict[str, Any]) -> list[tuple[int, Rollout, Any]]:
        group = self.env_runner_group
        if group.num_remote_env_runners() == 0:
            runner = group.local_env_runner
            return [(0, runner.sample(**exploration), runner.get_metrics())]
        patience = time.monotonic() + PATIENCE_SECONDS
        while True:
            answers = group.foreach_env_runner(partial(_answer, exploration), local_env_runner=False)
            if faults := [answer for answer in answers if isinstance(answer, str)]:
                raise RuntimeError(f"an environment runner failed: {faults[0]}")
            there = [answer for answer in answers if answer is not None]
            self._report(len(there))
            if there:
                return there
            if time.monotonic() > patience:
                raise RuntimeError(
                    f"all environment runners were lost, and none could be started again within "
                    f"{PATIENCE_SECONDS:g} s: the Ray cluster has no node with a free CPU left. "
                    "Training can continue from the last checkpoint"
                )
            time.sleep(1.0)
            self.restore_env_runners(group)

    def _report(self, there: int) -> None:
        wanted = self.config.num_env_runners
        if there != (wanted if self._there is None else self._there):
            what = "all are back" if there == wanted else "those missing were lost, or are starting again"
            log.warning("%d of %d environment runners sample: %s", there, wanted, what)
        self._there = there

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Take back runners that Ray has started again, and give them the learner's weights.

        RLlib would send the local runner's state, random numbers included, and ask in every training step.
        """
        wanted = env_runner_group.num_remote_env_runners()
        complete = env_runner_group.num_healthy_remote_env_runners() == wanted
        if complete or time.monotonic() < self._next_probe:
            return []
        restored: list[int] = env_runner_group.probe_unhealthy_env_runners()
        self._next_probe = time.monotonic() + PROBE_SECONDS
        if restored:
            env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group,
                to_worker_indices=restored,
                inference_only=True,
            )
        return restored

    def learn(self, columns: dict[str, Any], **update: Any) -> list[Any]:
        """Give a batch of rows, arrays by RLlib's column names, to the learners and return their results."""
        rows = SampleBatch(columns)
        self._seen = {key: value[:SEEN_ROWS] for key, value in columns[Columns.OBS].items()}
        batch = MultiAgentBatch({"default_policy": rows}, env_steps=len(rows))
        steps = self.metrics.peek(COUNTED, default=0)
        timesteps = {keys.NUM_ENV_STEPS_SAMPLED_LIFETIME: steps, PROGRESS: self.progress}
        with self.metrics.log_time((keys.TIMERS, keys.LEARNER_UPDATE_TIMER)):
            return list(self.learner_group.update(batch=batch, timesteps=timesteps, **update))

    def what_diverged(self, results: Mapping[str, Any]) -> str | None:
        """Say what has diverged after an iteration with these results, or None."""
        (module,) = self.learner_group.foreach_learner(lambda learner: learner.module["default_policy"])
        seen = {key: torch.as_tensor(value) for key, value in self._seen.items()}
        return what_diverged(results, module.get().unwrapped(), seen)

    def send_weights(self) -> None:
        """Send the learners' weights to all environment runners."""
        source = {"from_worker_or_learner_group": self.learner_group}
        with self.metrics.log_time((keys.TIMERS, keys.SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_weights(**source, inference_only=True)


def what_diverged(results: Mapping[str, Any], module: nn.Module, seen: Mapping[str, Tensor]) -> str | None:
    """Say what of an iteration is no number to continue with, or None.

    Args:
        results: RLlib's results of the iteration.
        module: The learner's module.
        seen: Observations to score; without any, scores are not looked at.
    """
    learner = results.get("learners", {}).get("default_policy", {})
    for key, words in WATCHED.items():
        if not math.isfinite(value := float(learner.get(key, 0.0))):
            return f"{words} is {value:g}"
    # A learning rate that falls may bring scores back; what they were learned to be is lost.
    if abs(value := float(learner.get("q_mean", 0.0))) >= LARGEST_SCORE:
        return f"the network's scores reach {value:g}"
    if not all(bool(parameter.isfinite().all()) for parameter in module.parameters()):
        return "the network's weights are not finite"
    network = getattr(module, "network", None)
    if not seen or network is None:
        return None
    with torch.inference_mode():
        scores, _ = network.outputs(*network_input(seen), with_value=False)
        largest = float(scores.abs().max())  # not a number if one is not
    if largest < LARGEST_SCORE:
        return None
    reach = f"reach {largest:g}" if math.isfinite(largest) else "are not finite"
    return f"the network's scores {reach}"


def _answer(exploration: dict[str, Any], runner: Any) -> tuple[int, Rollout, Any] | str | None:
    """Return a runner's number, rollout and metrics; None before it has weights; text if it went wrong."""
    if not runner.has_weights:
        return None  # it started over a moment ago, and nobody has noticed
    try:
        return runner.worker_index, runner.sample(**exploration), runner.get_metrics()
    except Exception:  # noqa: BLE001 -- RLlib would start the runner again, to fail again, and hide the reason
        return traceback.format_exc()


def set_learning_rate(learner: TorchLearner, progress: float) -> None:
    """Set a learner's optimisers to the learning rate of its config's linear schedule, and log it.

    Args:
        learner: Whose optimisers are set.
        progress: How much of the training is over, 0 to 1.
    """
    config: Any = learner.config
    rate = linear(config.lr, config.lr_final, progress)
    for module_id in learner.module.keys():  # noqa: SIM118 -- a MultiRLModule iterates over modules otherwise
        for _, optimizer in learner.get_optimizers_for_module(module_id):
            for group in optimizer.param_groups:
                group["lr"] = rate
        learner.metrics.log_value((module_id, "learning_rate"), rate, window=1)


def register_vector_env(make_vector_env: VectorEnvMaker) -> str:
    """Register an environment with RLlib and return its name, for ``config.environment(name)``.

    The name is made of the content: runs that share a registry, such as the jobs of a sweep on a Ray cluster,
    meet under a name only if they mean the same environment.
    """
    name = f"qexp-{hashlib.sha256(cloudpickle.dumps(make_vector_env)).hexdigest()[:32]}"
    _register(name, make_vector_env)
    return name


def _register(name: str, make_vector_env: VectorEnvMaker) -> None:
    # Under the name it had where a checkpoint was written: read back, it may not be the same to the byte.
    register_env(name, partial(_create, make_vector_env))


def registered_vector_env(name: str) -> VectorEnvMaker | None:
    """Return what was registered under a name, or None if that was something else, or nothing."""
    if not _global_registry.contains(ENV_CREATOR, name):
        return None
    creator = _global_registry.get(ENV_CREATOR, name)
    ours = isinstance(creator, partial) and creator.func is _create
    return creator.args[0] if ours else None


def _create(make_vector_env: VectorEnvMaker, context: Mapping[str, Any]) -> VectorEnv[Any, Any, Any]:
    return make_vector_env(context["num_envs"])
