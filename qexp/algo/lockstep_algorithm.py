"""What A2C and DQN share as RLlib algorithms: collecting whole rollouts, and how far training is."""

from __future__ import annotations

import tempfile
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils import metrics as keys

from qexp.algo.lockstep import LockstepEnvRunner, Rollout

PROGRESS = "progress"
"""Key of the training progress, 0 to 1, in the ``timesteps`` that a learner's update gets."""


class LockstepAlgorithm(Algorithm):
    """Mix this into an RLlib algorithm whose environment runners are lockstep runners.

    Attributes:
        progress: How much of the training is over, 0 to 1; every schedule reads it. Set it before each
            call of ``train()``.
    """

    progress: float = 0.0
    config: Any
    _logdir: Any
    metrics: Any
    env_runner_group: Any
    learner_group: Any

    def _setup_logdir(self) -> None:
        # RLlib would leave an empty folder in the user's home for every run.
        self._logdir_keeper = tempfile.TemporaryDirectory(prefix="qexp-rllib-")
        self._logdir = self._logdir_keeper.name

    def cleanup(self) -> None:
        """Stop the environment runners and learners, and remove RLlib's folder."""
        super().cleanup()
        self._logdir_keeper.cleanup()

    def collect(self, **exploration: Any) -> list[Rollout]:
        """Sample one rollout from every environment runner.

        Raises:
            RuntimeError: A remote runner did not answer.
        """
        group = self.env_runner_group
        with self.metrics.log_time((keys.TIMERS, keys.ENV_RUNNER_SAMPLING_TIMER)):
            if group.num_remote_env_runners() == 0:
                runner = group.local_env_runner
                answers = [(runner.sample(**exploration), runner.get_metrics())]
            else:
                answers = group.foreach_env_runner(
                    lambda runner: (runner.sample(**exploration), runner.get_metrics()),
                    local_env_runner=False,
                )
            if len(answers) < max(1, self.config.num_env_runners):
                raise RuntimeError("an environment runner stopped; start again from the last checkpoint")
        self.metrics.aggregate([metrics for _, metrics in answers], key=keys.ENV_RUNNER_RESULTS)
        return [rollout for rollout, _ in answers]

    def learn(self, columns: dict[str, Any], **update: Any) -> list[Any]:
        """Give a batch of rows to the learners and return their results.

        Args:
            columns: Row-wise arrays by RLlib's column names; observations are mappings of arrays.
            update: Passed to ``LearnerGroup.update``.
        """
        rows = SampleBatch(columns)
        batch = MultiAgentBatch({"default_policy": rows}, env_steps=len(rows))
        steps = self.metrics.peek((keys.ENV_RUNNER_RESULTS, keys.NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        with self.metrics.log_time((keys.TIMERS, keys.LEARNER_UPDATE_TIMER)):
            return list(
                self.learner_group.update(
                    batch=batch,
                    timesteps={keys.NUM_ENV_STEPS_SAMPLED_LIFETIME: steps, PROGRESS: self.progress},
                    **update,
                )
            )

    def send_weights(self) -> None:
        """Send the learners' weights to all environment runners."""
        with self.metrics.log_time((keys.TIMERS, keys.SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group, inference_only=True
            )


def lockstep(
    config: Any,
    *,
    module: type,
    architecture: dict[str, Any],
    ticks: int,
    iteration_steps: int = 0,
    sigma0: float | None = None,
) -> Any:
    """Make an RLlib algorithm config sample in lockstep.

    Args:
        config: Config with its ``num_env_runners`` and ``num_envs_per_env_runner`` set.
        module: The RLModule class.
        architecture: Fields of the placement network's `Architecture`.
        ticks: Steps of the vector environment per rollout.
        iteration_steps: Training steps are repeated within one iteration until this many environment steps
            are sampled; 0 for one training step per iteration.
        sigma0: Initial noise of the network's heads; None for a network without noise.
    """
    runners = max(1, config.num_env_runners)
    return (
        config.api_stack(enable_rl_module_and_learner=True, enable_env_runner_and_connector_v2=True)
        .framework("torch")
        .env_runners(env_runner_cls=LockstepEnvRunner, rollout_fragment_length=ticks)
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=module, model_config={"architecture": architecture, "sigma0": sigma0}
            )
        )
        .training(train_batch_size_per_learner=ticks * config.num_envs_per_env_runner * runners)
        .learners(num_learners=0)
        .reporting(min_sample_timesteps_per_iteration=iteration_steps, min_time_s_per_iteration=None)
        # A runner that starts over would tear the columns of its episodes apart: stop instead.
        .fault_tolerance(restart_failed_env_runners=False, ignore_env_runner_failures=False)
        .debugging(log_level="ERROR")
    )
