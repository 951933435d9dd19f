"""Whether what answers is a BinderHub, which one, and how it is.

A status of 200 proves nothing: since 2024 BinderHub answers 200 with its page on every path, and
so do many other servers. What proves it are documents that only BinderHub has:

- ``/versions``, JSON with ``binderhub`` (since 2019-04-09), and ``/health``, JSON with ``ok`` and
  ``checks`` (since 2019-07-26);
- before them ``/metrics``, where ``binderhub_`` metrics are described from the first second on.
"""

from __future__ import annotations

import re
from typing import Any

from barehub.verify import web
from barehub.verify.finding import Findings
from barehub.verify.http import Answer, Client, Unanswered

HEALTH_SECONDS = 20.0
"""A hub that does not answer takes BinderHub 11 s to give up on: 3 tries of 3 s, 1 s apart."""

_HASH = re.compile(r"[.+@-][gh]?([0-9a-f]{7,40})(?:\.dirty)?$")
_METRIC = re.compile(r"^(# TYPE )?binderhub_\w+", re.MULTILINE)
_TITLE = re.compile(r"<title>([^<]*)", re.IGNORECASE)
_POD = "kubectl get pods,events -n binderhub"
_PROXY = "look at the proxy's log, and at the hub's"


async def answers(found: Findings, client: Client, base: str) -> Answer | None:
    """The http rung: the answer to ``/versions``, whatever it is, if a hub may stand behind it."""
    try:
        answer = await client.get(base + "versions")
        page = await client.get(base) if answer.status == 404 else answer
    except Unanswered as error:
        unanswered(found, error)
        return None
    if web.cloudflare(found, page):
        return None
    if page.status >= 500:
        found.failed(
            "http.backend-down",
            f"{page.status} from the proxy: the hub behind it is not up",
            _POD,
            permanent=False,
        )
    elif page.status == 404:
        found.failed(
            "http.default-backend",
            f"404 at {base} and at {base}versions: nothing is served under this name and path",
            f"kubectl get ingress -A: is there a rule for it? Is {base} the hub's base path?",
            permanent=False,
        )
    else:
        found.passed(
            "http.backend-down", f"{page.status} at {base}" + ("versions" if page is answer else "")
        )
        return answer
    return None


def unanswered(found: Findings, error: Unanswered) -> None:
    """What it means that nothing useful came."""
    if error.malformed:
        fix = "is another program listening there?"
        found.failed("http.malformed", str(error), fix, permanent=True)
    else:
        found.failed("http.backend-down", str(error), _PROXY, permanent=False)


_HUB = "JupyterHub API"
"""How /health calls the JupyterHub."""


async def fingerprint(
    found: Findings,
    client: Client,
    base: str,
    versions: Answer,
    *,
    alone: bool = False,
    expected: str | None = None,
) -> None:
    """The binder rung.

    ``alone``: a hub with faked builds, which has no JupyterHub behind it; ``expected``: the version
    or the chart's version that it is meant to be.
    """
    said = versions.object or {}
    version = said.get("binderhub")
    limited = rate_limit(found, versions)
    if versions.status == 200 and isinstance(version, str):
        found.passed("binder.not-binderhub", f"BinderHub {version}")
        _meant(found, version, expected)
        await _health(found, client, base, alone)
    elif versions.status == 404 and await _legacy(client, base):
        found.passed("binder.not-binderhub", "a BinderHub of before April 2019 (0.1)")
        found.informed("binder.legacy", "it has neither /versions nor /health, only /metrics")
        found.skipped(["binder.unhealthy"], "this version has no /health to ask")
    elif limited and versions.status == 429:
        message = f"{base}versions answers 429: it cannot be asked now"
        found.failed("binder.not-binderhub", message, _LIMITED, permanent=False)
        found.skipped(["binder.unhealthy"], "not checked: too many requests")
    else:
        found.failed("binder.not-binderhub", *_stranger(base, versions), permanent=True)
        found.skipped(["binder.unhealthy"], "not checked: it is no BinderHub")


def rate_limit(found: Findings, answer: Answer) -> bool:
    """Whether no more is allowed, or one more (BinderHub: so many launches an hour an address)."""
    left = answer.headers.get("x-ratelimit-remaining", "")
    few = bool(re.fullmatch(r"-?[0-9]{1,9}", left)) and int(left) <= 1
    if not few and answer.status != 429:
        return False
    said = "it answers 429" if answer.status == 429 else f"{left} left"
    found.warned("binder.rate-limit", f"many requests from this address: {said}", _LIMITED)
    return True


_LIMITED = "wait; if all are limited: does the proxy pass the visitor's address (X-Forwarded-For)?"


def _meant(found: Findings, running: str, expected: str | None) -> None:
    """Charts end in ``.h`` and a commit's hash, packages in ``.g`` and one."""
    if expected is None:
        return
    ours, wanted = (match[1] if (match := _HASH.search(v)) else "" for v in (running, expected))
    if not wanted and "/" in expected:
        found.skipped(["binder.version-drift"], f"{expected} says no version to compare with")
        return
    same = bool(ours and wanted) and (ours.startswith(wanted) or wanted.startswith(ours))
    plain, meant = running.removeprefix("v"), expected.removeprefix("v")
    if same or plain == meant or plain.startswith(f"{meant}+"):
        found.passed(
            "binder.version-drift", f"it is the version that it is meant to be: {expected}"
        )
    else:
        message = f"{running} is running, {expected} is meant to"
        found.warned("binder.version-drift", message, "apply the binderhub stage")


async def _legacy(client: Client, base: str) -> bool:
    """Whether ``/metrics`` is that of a BinderHub; its page may be an operator's own."""
    try:
        answer = await client.get(base + "metrics")
    except Unanswered:
        return False
    kind = answer.headers.get("content-type", "")
    return answer.status == 200 and "html" not in kind and bool(_METRIC.search(answer.text))


def _stranger(base: str, versions: Answer) -> tuple[str, str]:
    """What to say of something else: the problem and the fix."""
    where = versions.headers.get("location")
    if 300 <= versions.status < 400 and where:
        return f"{base}versions leads elsewhere, to {where}", "--url with the hub's own address"
    if versions.status in (401, 403):
        return (
            f"{base}versions is not for everyone: {versions.status}",
            f"let the proxy pass {base}versions and {base}health without a password",
        )
    kind = versions.headers.get("content-type", "no type").partition(";")[0]
    title = found[1].strip()[:80] if (found := _TITLE.search(versions.text)) else ""
    page = f", page {title!r}" if title else ""
    return (
        f"{base}versions is not a BinderHub's ({versions.status}, {kind}{page})",
        "is it the right name and base path? A hub under a path: --url https://HOST/PATH/",
    )


async def _health(found: Findings, client: Client, base: str, alone: bool) -> None:
    try:
        answer = await client.get(base + "health", seconds=HEALTH_SECONDS)
    except Unanswered as error:
        found.failed("binder.unhealthy", str(error), _POD, permanent=False)
        return
    said = answer.object or {}
    if not found.has("binder.rate-limit"):
        rate_limit(found, answer)  # its answer is judged below all the same
    checks = said.get("checks")
    if answer.status == 404:
        found.skipped(["binder.unhealthy"], "this version has no /health to ask")
    elif not isinstance(said.get("ok"), bool) or not isinstance(checks, list):
        message = f"{base}health answers {answer.status} without saying how it is"
        found.failed("binder.unhealthy", message, _POD, permanent=False)
    else:
        _judge(found, said["ok"], [check for check in checks if isinstance(check, dict)], alone)


def _judge(found: Findings, well: bool, checks: list[dict[str, Any]], alone: bool) -> None:
    """BinderHub marks what does not count with ``_ignore_failure``: the quota of pods."""
    bad = [c for c in checks if c.get("ok") is not True]
    counting = [_service(c) for c in bad if not c.get("_ignore_failure")]
    if well:
        fine = ", ".join(_service(c) for c in checks if c.get("ok") is True)
        found.passed("binder.unhealthy", f"healthy: {fine}" if fine else "healthy")
    elif alone and counting == [_HUB]:
        found.informed("binder.unhealthy", "there is no JupyterHub behind it: nothing is launched")
    else:
        down = ", ".join(counting) or "something that it does not name"
        found.failed("binder.unhealthy", f"BinderHub cannot use {down}", _POD, permanent=False)
    for check in bad:
        if check.get("_ignore_failure"):
            used = f"{check.get('total_pods', '?')} of {check.get('quota', '?')} pods"
            message = f"no launch until pods end: {used}"
            found.warned("binder.quota", message, "raise pod_quota, or wait")


def _service(check: dict[str, Any]) -> str:
    return str(check.get("service", "a service without a name"))
