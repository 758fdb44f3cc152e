"""The keys of the root of the configuration, beside the config groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge
from omegaconf import MISSING
from typing_extensions import Doc

from qexp.config.option import Follows, ListOf
from qexp.config.plots import Plots


@dataclass
class EvalConfig:
    """How schedulers are compared."""

    episodes: Annotated[
        int,
        Ge(1),
        Doc(
            "Episodes every scheduler is evaluated on. All meet the same ones, none of them seen in training."
        ),
    ] = 100
    baselines: Annotated[
        list[Any] | None,
        ListOf("scheduler"),
        Doc(
            "Schedulers to compare with, besides the one chosen by `scheduler`, with settings of their own "
            "where wanted: [mct,{weighted:{fidelity_weight:0.2}},{policy:{path:outputs/.../policy}}]; null "
            "for all that the environment has. Of placements, mct is what vs_mct_* refer to and clairvoyant "
            "what gap_closed refers to; of gates, critical_path and cp_sat."
        ),
    ] = None
    seed: Annotated[
        int,
        Ge(0),
        Follows("seed"),
        Doc(
            "Seed of the evaluation episodes; fix it to compare runs of different seeds on the same episodes."
        ),
    ] = MISSING


@dataclass
class RayConfig:
    """Where training runs."""

    address: Annotated[
        str | None,
        Doc(
            "Ray cluster that runs the environment runners (algo.num_env_runners): auto for the one this "
            "machine is a node of, or HOST:PORT of its head node; null for a private Ray on this machine, "
            "gone when the run ends."
        ),
    ] = None


@dataclass
class Config:
    """The keys of the root, beside the config groups."""

    seed: Annotated[
        int,
        Ge(0),
        Doc(
            "Seed of everything random: training, and (unless eval.seed says otherwise) the "
            "evaluation episodes."
        ),
    ] = 0
    eval: EvalConfig = field(default_factory=EvalConfig)
    ray: RayConfig = field(default_factory=RayConfig)
    plots: Plots = True
    sweep: Annotated[
        str | None,
        Doc(
            "Name of a multirun, and of its folder below outputs/sweeps; null for one made from the command. "
            "The same sweep started again runs only what is missing or failed."
        ),
    ] = None
    resume: Annotated[
        str | None,
        Doc(
            "Folder of a run whose training was cut off: it continues from its last checkpoint, with its own "
            "configuration."
        ),
    ] = None
