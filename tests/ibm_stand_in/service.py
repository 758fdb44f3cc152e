"""The service's state, and what it answers."""

from __future__ import annotations

import base64
import json
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from ibm_stand_in.devices import Device, Reply, error
from ibm_stand_in.faults import Fault
from ibm_stand_in.jobs import Job, Queues
from ibm_stand_in.results import encoded

TOKEN = "stand-in-token-0123456789abcdefghijklmnopqrs"  # noqa: S105 opens nothing but this server
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:stand-in-instance::"
PLAN = "stand-in-plan"
MOST_TAGS, LONGEST_TAG = 8, 86


@dataclass(frozen=True)
class Request:
    """One request as the routes need it."""

    query: dict[str, list[str]]
    body: dict[str, Any]

    def one(self, key: str) -> str | None:
        """A parameter's value."""
        return self.query.get(key, [None])[0]


@dataclass
class StandIn:
    """The service's state, and the knobs a test turns.

    Attributes:
        devices: The machines.
        instead: Replies by pattern of "METHOD /path"; the first that matches replaces the real one.
        requests: Every request so far, as "METHOD /path".
        exposed: Those of them that were signed with the API key itself.
        queues: Jobs, and how long they wait and run.
        faults: What goes wrong; the first that strikes does.
        noisy: Whether results come from Aer with the machine's errors (up to 9 qubits in use).
        page: Jobs on one page of a list at most.
        omit: Fields that are left out of descriptions and lists of jobs.
        brief: Whether lists of jobs say no more than their ids.
        token_seconds: How long an access token is good for.
        limit_seconds: What the plan allows.
        consumed_seconds: What others used up already.
        seed: Of the faults' chances.
    """

    devices: list[Device]
    token: str = TOKEN
    crn: str = CRN
    instead: dict[str, Reply] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    exposed: list[str] = field(default_factory=list)
    url: str = ""
    queues: Queues = field(default_factory=Queues)
    faults: list[Fault] = field(default_factory=list)
    noisy: bool = False
    page: int = 200
    omit: set[str] = field(default_factory=set)
    brief: bool = False
    token_seconds: int = 3600
    limit_seconds: float = 600.0
    consumed_seconds: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.rng = random.Random(self.seed)  # noqa: S311 not for secrets
        self._sessions: dict[str, dict[str, Any]] = {}
        self._tokens: dict[str, float] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which the client takes this server for IBM Quantum."""
        return {
            "QISKIT_IBM_CHANNEL": "ibm_quantum_platform",
            "QISKIT_IBM_TOKEN": self.token,
            "QISKIT_IBM_INSTANCE": self.crn,
            # The client leaves a URL with this word in it as it is.
            "QISKIT_IBM_URL": f"{self.url}/experimental",
            "IAM_URL": self.url,
            "GLOBAL_SEARCH_URL": self.url,
            "GLOBAL_CATALOG_URL": f"{self.url}/api/v1",
            "NO_PROXY": "127.0.0.1",
        }

    def revoke(self) -> None:
        """Take back all access tokens, whatever they say; new ones are given out."""
        self._tokens.clear()

    def close_sessions(self) -> None:
        """Close all batches, as when they have been open for too long."""
        for session in self._sessions.values():
            session |= {"accepting_jobs": False, "state": "closed"}

    def audit(self) -> dict[str, Any]:
        """Machines, jobs, how many were ever accepted with each tag, and how often each fault struck."""
        return {
            "devices": [device.name for device in self.devices],
            "jobs": len(self.queues.jobs),
            "tags": dict(self.queues.accepted),
            "struck": [fault.struck for fault in self.faults],
        }

    def books(self, campaign: str) -> list[dict[str, Any]]:
        """All jobs ever accepted with a campaign's tag, in the order of acceptance; times in seconds."""
        self.queues.advance()
        return [
            {
                "id": job.id,
                "tag": next((tag for tag in job.tags if tag != campaign), ""),
                "accepted": job.created,
                "over": job.finished if job.final else None,
                "done": job.status == "Completed",
                "charged": job.charged,
            }
            for job in self.queues.jobs.values()
            if campaign in job.tags
        ]

    def fault(self, line: str, body: str) -> Fault | None:
        """What is to go wrong with a request, if anything."""
        with self.lock:
            if not self.faults:
                return None
            tags = (json.loads(body).get("tags") or []) if line == "POST /jobs" and body else []
            return next((fault for fault in self.faults if fault.strikes(line, tags, self.rng)), None)

    def answer(self, line: str, query: str, headers: Any, body: str) -> Reply:
        """Answer one request."""
        with self.lock:
            self.requests.append(line)
            if self.token in str(headers["Authorization"]):
                self.exposed.append(line)
            for pattern, reply in self.instead.items():
                if re.fullmatch(pattern, line):
                    return reply
            if line == "POST /identity/token":
                return self._identify(body)
            token = str(headers["Authorization"]).removeprefix("Bearer ")
            if self._tokens.get(token, 0.0) <= time.time():
                return error(401, "not authorised")
            self._advance()
            for pattern, handler in _ROUTES:
                if found := re.fullmatch(pattern, line):
                    if not pattern.startswith(_OF_ACCOUNT) and headers["Service-CRN"] != self.crn:
                        return error(403, "no such instance")
                    try:
                        request = Request(parse_qs(query), json.loads(body) if body else {})
                    except ValueError:
                        return error(400, "not JSON")
                    reply = handler(self, request, *found.groups())
                    break
            else:
                return error(404, f"no {line}")
        return reply if isinstance(reply, Reply) else reply()  # what takes time, others need not wait for

    def _advance(self) -> None:
        self.queues.closed = {
            device.name for device in self.devices if not (device.operational and device.status == "active")
        }
        self.queues.advance()

    def _identify(self, body: str) -> Reply:
        if parse_qs(body).get("apikey") != [self.token]:
            return Reply(
                400, {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."}
            )
        now = int(time.time())
        token = _access_token(now, now + self.token_seconds, self.rng)
        self._tokens[token] = now + self.token_seconds
        lasts = {"expires_in": self.token_seconds, "expiration": now + self.token_seconds}
        return Reply(200, {"access_token": token, "refresh_token": "none", "token_type": "Bearer"} | lasts)

    def _search(self, _: Request) -> Reply:
        instance = {
            "crn": self.crn,
            "name": "stand-in",
            "service_plan_unique_id": PLAN,
            "tags": [],
            "doc": {"extensions": {"usage_allocation": 600}},
        }
        return Reply(200, {"items": [instance], "limit": 100})

    def _plan(self, _: Request) -> Reply:
        display = {"en": {"display_name": "Open"}}
        return Reply(200, {"name": "open", "overview_ui": display, "metadata": {"pricing": {"type": "free"}}})

    def _backends(self, _: Request) -> Reply:
        return Reply(
            200,
            {"devices": [device.listed(self.queues.under_way(device.name)) for device in self.devices]},
        )

    def _device(self, name: str | None) -> Device | None:
        return next((device for device in self.devices if device.name == name), None)

    def _backend(self, _: Request, name: str, what: str) -> Reply:
        device = self._device(name)
        if device is None:
            return error(404, f"no backend {name}")
        return device.state(self.queues.under_way(name)) if what == "status" else device.described(what)

    def _usage(self, _: Request) -> Reply:
        consumed = self.consumed_seconds + sum(job.charged for job in self.queues.jobs.values() if job.final)
        return Reply(
            200,
            {
                "instance_id": self.crn,
                "plan_id": PLAN,
                "usage_consumed_seconds": consumed,
                "usage_limit_seconds": self.limit_seconds,
                "usage_limit_reached": consumed >= self.limit_seconds,
            },
        )

    def _run(self, request: Request) -> Reply:
        body = request.body
        device, tags, session = (
            self._device(body.get("backend")),
            body.get("tags") or [],
            body.get("session_id"),
        )
        if body.get("program_id") not in {"sampler", "executor"}:
            return error(404, "no such program")
        if device is None:
            return error(400, "no such backend")
        if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
            return error(400, "too many or too long tags")
        if session and not self._sessions.get(session, {}).get("accepting_jobs"):
            return error(400, "the session is closed")
        job = self.queues.add(device.name, body)
        return Reply(200, {"id": job.id, "backend": job.backend})

    def _list(self, request: Request) -> Reply:
        pending = {"true": True, "false": False, None: None}[request.one("pending")]
        jobs = self.queues.listed(request.query.get("tags", []), pending, request.one("backend"))
        if request.one("sort") != "ASC":
            jobs = jobs[::-1]
        limit = min(int(request.one("limit") or self.page), self.page)
        offset = int(request.one("offset") or 0)
        page = [self._described(job) for job in jobs[offset : offset + limit]]
        if self.brief:
            page = [{"id": job["id"]} for job in page]
        whole = {"jobs": page, "count": len(jobs), "limit": limit, "offset": offset}
        return Reply(200, {key: value for key, value in whole.items() if key not in self.omit})

    def _described(self, job: Job) -> dict[str, Any]:
        return {key: value for key, value in job.described().items() if key not in self.omit}

    def _job(self, request: Request, name: str, what: str | None) -> Reply | Callable[[], Reply]:
        job = self.queues.jobs.get(name)
        if job is None:
            return error(404, "no such job")
        if what == "/metrics":
            return Reply(200, {key: value for key, value in job.metrics().items() if key not in self.omit})
        if what == "/logs":
            return Reply(200, b"nothing to say")
        if what == "/results":
            return self._result(job)
        params = {} if request.one("exclude_params") == "true" else {"params": job.params}
        return Reply(200, self._described(job) | params)

    def _result(self, job: Job) -> Reply | Callable[[], Reply]:
        if job.status != "Completed":
            return error(404, "there is no result")
        device = self._device(job.backend) if self.noisy else None
        return lambda: Reply(200, encoded(job, device))

    def _change(self, request: Request, name: str, what: str | None) -> Reply:
        job = self.queues.jobs.get(name)
        if job is None:
            return error(404, "no such job")
        if what == "/tags":
            self.queues.retag(job, request.body["tags"])
            return Reply(204, b"")
        if what == "/cancel":
            return Reply(204, b"") if self.queues.cancel(job) else error(409, "the job is over")
        if not job.final:
            return error(409, "the job is not over")
        self.queues.remove(job)
        return Reply(204, b"")

    def _open_session(self, request: Request) -> Reply:
        mode = request.body.get("mode")
        if mode != "batch":
            return error(400, "the open plan has no dedicated sessions")
        name = f"s{len(self._sessions):07d}"
        self._sessions[name] = {"id": name, "mode": mode, "accepting_jobs": True, "state": "open"}
        return Reply(200, self._sessions[name])

    def _session(self, request: Request, name: str) -> Reply:
        if name not in self._sessions:
            return error(404, "no such session")
        self._sessions[name] |= {key: request.body[key] for key in ("accepting_jobs",) if key in request.body}
        return Reply(200, self._sessions[name])


_OF_ACCOUNT = (r"(?:GET|POST) /v3", f"GET /{PLAN}")
_ROUTES: list[tuple[str, Callable[..., Any]]] = [
    (r"(?:GET|POST) /v3/resources/search", StandIn._search),
    (rf"GET /{PLAN}", StandIn._plan),
    (r"GET /backends", StandIn._backends),
    (r"GET /backends/([^/]+)/(configuration|properties|status)", StandIn._backend),
    (r"GET /instances/usage", StandIn._usage),
    (r"POST /jobs", StandIn._run),
    (r"GET /jobs", StandIn._list),
    (r"GET /jobs/([^/]+)(/metrics|/results|/logs)?", StandIn._job),
    (r"POST /jobs/([^/]+)(/cancel)", StandIn._change),
    (r"PUT /jobs/([^/]+)(/tags)", StandIn._change),
    (r"DELETE /jobs/([^/]+)()", StandIn._change),
    (r"POST /sessions", StandIn._open_session),
    (r"(?:GET|PATCH) /sessions/([^/]+)", StandIn._session),
]


def _access_token(begin: int, end: int, rng: random.Random) -> str:
    """An unsigned JSON web token: the client reads when it ends and checks no signature."""
    parts = (
        {"alg": "none"},
        {"iat": begin, "exp": end, "iam_id": "IBMid-stand-in", "jti": rng.getrandbits(64)},
    )
    coded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join([*coded, "unsigned"])
