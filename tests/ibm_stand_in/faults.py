"""What can go wrong on the way to the service and back, on request."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any

KINDS = ("status", "reset", "stall", "malformed", "truncated", "kill")


@dataclass
class Fault:
    """One thing that goes wrong.

    Attributes:
        on: Pattern of the whole of "METHOD /path".
        kind: ``status``: answer with `status` instead. ``reset``: cut the connection. ``stall``: say nothing
            for `seconds`, then cut it. ``malformed``: answer 200 with what is no JSON. ``truncated``: cut the
            connection halfway through the true answer. ``kill``: kill the client's process.
        after: Whether the service does what was asked first, a job is accepted for instance.
        status: Of the answer.
        headers: Of the answer, ``Retry-After`` for instance.
        body: Of the answer.
        seconds: Of silence; of life after the answer.
        process: Whom to kill.
        answered: Whether the one who is killed gets the answer before.
        times: How often it strikes; None for always.
        spare: So many matching requests pass first.
        chance: Of striking where it could.
        tag: Only submissions with a tag that this pattern is found in.
    """

    on: str
    kind: str = "status"
    after: bool = False
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = field(default_factory=dict)
    seconds: float = 30.0
    process: int = 0
    answered: bool = False
    times: int | None = 1
    spare: int = 0
    chance: float = 1.0
    tag: str | None = None

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind
        assert self.kind != "kill" or self.process > 1  # 0 is this process and all its relatives
        self.struck = 0

    def strikes(self, line: str, tags: list[str], rng: random.Random) -> bool:
        """Whether it strikes this request."""
        if self.times is not None and self.struck >= self.times:
            return False
        if not re.fullmatch(self.on, line):
            return False
        if self.tag is not None and not any(re.search(self.tag, tag) for tag in tags):
            return False
        if self.spare > 0:
            self.spare -= 1
            return False
        if self.chance < 1.0 and rng.random() >= self.chance:
            return False
        self.struck += 1
        return True
