"""IBM Quantum's answers, and their meaning: every field may be missing, or be none that we know.

What goes wrong is said in words of our own: those of the service and the client may quote the account.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import reduce
from typing import Any, TypeVar

from qexp.deploy.executors import errors
from qexp.deploy.executors.executor import JobState, Machine
from qexp.fleet.ibm import quiet
from qexp.fleet.ibm_errors import chain, reason, refused, statuses, timed_out

T = TypeVar("T")

# Words for a machine that is online and does not work off its queue.
IDLE_WORDS = {"internal", "maintenance", "paused", "offline", "retired", "unavailable"}
RAN_TOO_LONG = 1305  # the service's code for it


def put(question: Callable[[], T], **missing: Any) -> T:
    """Put a question to the client, and raise what `in_words` makes of an error.

    Args:
        question: What to call.
        **missing: ``missing``: what to return where the service knows of no such thing.
    """
    with quiet():
        try:
            return question()
        except Exception as error:  # noqa: BLE001 the client raises all kinds
            if missing and 404 in statuses(error):
                default: T = missing["missing"]
                return default
            problem = in_words(error)
    # Not from within the handler: what the client said is not even to be in a traceback.
    raise problem


def in_words(error: Exception) -> errors.ExecutorError:
    """Return what an error of the client comes down to."""
    for link in chain(error):
        if isinstance(link, errors.AccountError | errors.UnreachableError):
            return type(link)(str(link))
    if refused(error):
        return errors.AccountError(f"IBM Quantum: {reason(error)}")
    if not statuses(error) and timed_out(error):
        return errors.UnreachableError("IBM Quantum: no answer in deploy.timeout seconds")
    return errors.UnreachableError(f"IBM Quantum: {reason(error)}")


def mapping(answer: object) -> dict[str, Any]:
    """Return an answer that must be an object; raise `UnreachableError` if it is none."""
    if not isinstance(answer, Mapping):
        raise errors.UnreachableError("IBM Quantum: an answer that makes no sense")
    return dict(answer)


def section(answer: object, name: str) -> Mapping[str, Any]:
    """Return a part of an answer; empty if there is none.

    Args:
        answer: JSON of the service, or None.
        name: Key of the part, a mapping.
    """
    part = answer.get(name) if isinstance(answer, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def state_of(job: Mapping[str, Any]) -> tuple[JobState, str | None]:
    """Return where a job is, and why it failed, from what GET /jobs/ID says of it."""
    state = section(job, "state") or {"status": job.get("state")}
    word = str(state.get("status") or job.get("status") or "").strip().lower()
    code = _code(state)
    if word.startswith("cancel"):
        if "too long" in f"{word} {state.get('reason')}".lower() or code == RAN_TOO_LONG:
            return JobState.FAILED, "the service stopped the job: it ran too long"
        return JobState.CANCELLED, None
    if word in {"completed", "done"}:
        return JobState.DONE, None
    if word in {"failed", "error"}:
        return JobState.FAILED, "the job failed at the service" + (f" (error code {code})" if code else "")
    return (JobState.RUNNING if word.startswith("running") else JobState.QUEUED), None


def _code(state: Mapping[str, Any]) -> int | None:
    """Return the service's error code, from its own field or from the beginning of the reason."""
    for key in ("reason_code", "reasonCode", "reason"):
        if code := re.search(r"\b\d{4}\b", str(state.get(key) or "")):
            return int(code.group())
    return None


def moment(text: object) -> float | None:
    """Return a moment, seconds since the epoch; without a time zone it is UTC. None if it is none."""
    with suppress(ValueError, TypeError, OverflowError):
        if isinstance(text, int | float) and not isinstance(text, bool):
            return float(text) if math.isfinite(text) else None
        at = datetime.fromisoformat(str(text))
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None


def seconds(value: object) -> float | None:
    """Return a duration that is one, else None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value)
    return None


def charged(metrics: Mapping[str, Any]) -> float | None:
    """Return the quantum seconds that a job was charged, None if they are not known (yet)."""
    usage = section(metrics, "usage")
    values = (
        usage.get("qpu_charge_time_seconds"),
        usage.get("quantum_seconds"),
        section(metrics, "bss").get("seconds"),
    )
    charge = next((charge for value in values if (charge := seconds(value)) is not None), None)
    # Until the bill is made out it is 0.
    return None if not charge and str(usage.get("status")).lower() == "pending" else charge


def order_tag(tags: Iterable[str], orders: Iterable[str], campaigns: Iterable[str]) -> str:
    """Return which of a job's tags is its order's.

    Args:
        tags: Of the job.
        orders: Tags known to be orders'.
        campaigns: Tags known to be campaigns'.
    """
    tags = [str(tag) for tag in tags]
    ours = [tag for tag in tags if tag in orders]
    others = [tag for tag in tags if tag not in campaigns]
    # An order's tag may begin with its campaign's.
    long = [tag for tag in tags if any(tag != other and tag.startswith(other) for other in tags)]
    return next(iter(ours or (others if len(others) == 1 else long) or tags[-1:]), "")


def machine_of(listed: Mapping[str, Any]) -> Machine | None:
    """Return what an entry of GET /backends says of a machine; None if not whether it works."""
    status = section(listed, "status") or {"name": listed.get("status")}
    online = status.get("name")
    if not isinstance(online, str):
        return None
    working = online.lower() in {"online", "active", "available"}
    word = _word(status.get("reason")) or _word(online)
    word = "active" if working and word.lower() in {"available", "online"} else word
    return _machine(str(listed.get("name")), working, word, listed.get("queue_length"))


def machine_from_status(name: str, status: Mapping[str, Any]) -> Machine:
    """Return what GET /backends/NAME/status says of a machine.

    Args:
        name: Of the machine.
        status: The answer's JSON.
    """
    word = _word(status.get("status")) or "unknown"
    return _machine(name, bool(status.get("state")), word, status.get("length_queue"))


def _machine(name: str, working: bool, word: str, pending: object) -> Machine:
    number = seconds(pending)
    is_open = working and word.lower() not in IDLE_WORDS
    return Machine(name, is_open, word, None if number is None else int(number))


def _word(value: object) -> str:
    """Return the service's word for something, if it is one: nothing else of it is ever shown."""
    word = value.strip() if isinstance(value, str) else ""
    return word if re.fullmatch(r"[A-Za-z][A-Za-z_ -]{0,29}", word) else ""


def decode(text: str) -> dict[str, int]:
    """Return the counts in a job's result, as GET /jobs/ID/results has it in either sampler's encoding.

    They are by bit string, the last bit of the last register first; without any, `UndecodableError`.
    """
    from qiskit_ibm_runtime.decoders.defaults import DEFAULT_DECODERS

    try:
        raw = json.loads(text)
        kind = "executor" if isinstance(raw, dict) and "schema_version" in raw else "sampler"
        result: Any = reduce(
            lambda value, decoder: decoder.decode(value) if decoder.is_applicable(value) else value,
            DEFAULT_DECODERS[kind],
            text,
        )
        [pub] = result
        names = (pub.metadata.get("circuit_metadata") or {}).get("registers")
        # The answer may have the registers in any order; the circuit said which is its own.
        names = names if isinstance(names, list) and sorted(names) == sorted(pub.data) else list(pub.data)
        counts = pub.join_data(names).get_counts()
    except Exception as error:  # noqa: BLE001 whatever nonsense makes the decoders raise
        kind = type(error).__name__
        raise errors.UndecodableError(f"IBM Quantum: the result cannot be decoded ({kind})") from None
    if not counts:
        raise errors.UndecodableError("IBM Quantum: the result is empty")
    return {str(outcome): int(count) for outcome, count in counts.items()}
