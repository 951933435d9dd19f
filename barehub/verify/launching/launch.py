"""Builds a repository, launches it, computes in it, and stops it again."""

from __future__ import annotations

import asyncio
import functools
import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from barehub.errors import UsageError
from barehub.verify import MAY_RUN
from barehub.verify.finding import Findings
from barehub.verify.http import Unanswered
from barehub.verify.launching import build, stopping
from barehub.verify.launching.notebook import Notebook
from barehub.verify.launching.site import Site
from barehub.verify.target import Target, is_address, parse

REPO = "gh/binderhub-ci-repos/minimal-dockerfile/HEAD"
"""One of the repositories of BinderHub's own tests, which is built from a Dockerfile alone."""

CHECKS = ("binder.launch", "notebook.api", "notebook.kernel", "binder.stopped")

_SPEC = re.compile(r"[a-z][a-z0-9]*(?:/[A-Za-z0-9._~%:@!$&'()*+,;=-]+)+")
_GITHUB = re.compile(
    r"https://(?:www\.)?github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?(?:/(?:tree|commit)/(.+?))?/?"
)
_HINT = "--repo https://github.com/OWNER/NAME, or PROVIDER/SPEC as in a BinderHub's /v2/ address"

_PROXIES = (
    "count clients, not proxies: with a wrong X-Forwarded-For (use-forwarded-headers, "
    "externalTrafficPolicy) all visitors share one address"
)


def parse_repo(text: str) -> str:
    """The BinderHub specification (``gh/owner/name/ref``) of what a person calls a repository.

    :raises UsageError: it is none.
    """
    if github := _GITHUB.fullmatch(text):
        owner, name, ref = github.groups()
        text = f"gh/{owner}/{name}/{urllib.parse.quote(ref or 'HEAD', safe='/%')}"
    spec = text.strip("/")
    if re.fullmatch(r"gh/[^/]+/[^/]+", spec):
        spec += "/HEAD"
    parts = spec.split("/")
    if len(spec) > 2000 or not _SPEC.fullmatch(spec) or {".", ".."} & {*parts}:
        raise UsageError("--repo is neither a GitHub repository nor a specification", _HINT)
    if parts[0] == "gh" and len(parts) < 4:
        raise UsageError("--repo gh/… needs an owner and a name", _HINT)
    return spec


async def launch(
    target: Target, repo: str, now: Callable[[str], None], line: Callable[[str], None]
) -> Findings:
    """What came of building, launching and using ``repo`` (see :func:`parse_repo`).

    The server that was started is stopped in any case, even when this is cancelled. ``now`` is told
    of each phase, ``line`` the last lines of the log of what failed. Bounded in time by
    :data:`build.SECONDS` and a few minutes.
    """
    target = target.at(target.vantages[0])
    found, course, began = Findings(target.vantages[0]), build.Course(), time.monotonic()
    if target.builds == "fake":
        found.skipped(CHECKS, "not tried: with faked builds nothing is launched")
        return found
    site = Site(target)
    now(f"launch: {repo}")
    token = await build.token(site, repo)
    try:
        await build.run(site, repo, token, course, now)
    except asyncio.CancelledError:
        if course.ready and (notebook := _notebook(found, target, course.ready)):
            await stopping.surely(functools.partial(stopping.stop, found, target, notebook))
        elif course.launching:
            line("the launch was stopped in its middle: its server ends when the hub culls it")
        raise
    except (build.Failed, Unanswered) as error:
        _failed(found, course, error, token, line)
        return found
    notebook = _notebook(found, target, course.ready)
    if notebook is None:
        return found
    try:
        took = time.monotonic() - began
        found.passed("binder.launch", f"{repo} in {took:.1f} s: {course.timings}")
        _limits(found, course, token)
        now("launch: notebook")
        if await notebook.prove(found):
            now("launch: kernel")
            await notebook.compute(found)
        else:
            found.skipped(["notebook.kernel"], "not tried: the notebook's token opens nothing")
        now("launch: stopping")
    finally:
        await stopping.surely(functools.partial(stopping.stop, found, target, notebook))
    return found


def _failed(
    found: Findings,
    course: build.Course,
    error: build.Failed | Unanswered,
    token: str,
    line: Callable[[str], None],
) -> None:
    """Say in which phase it failed, why, and what its log said last."""
    status = error.status if isinstance(error, build.Failed) else None
    lines = [text.replace(token, "***") if token else text for text in course.lines]
    last = error.args[0].splitlines()[-1] if error.args and error.args[0] else ""
    why = build.visible(last.replace(token, "***") if token else last)
    if status == 429:
        found.failed("binder.rate-limit", f"429: {why}", _PROXIES, permanent=False)
        found.skipped(CHECKS, "not tried: this address has used up its builds")
        return
    for text in lines if lines != [why] else []:
        line(text)
    where = f"it failed in {course.last} ({course.timings})" if course.last else "it was refused"
    fix = _FIXES.get(course.last, _FIXES["launching" if course.launching else ""])
    permanent = isinstance(error, build.Failed) or error.malformed
    code = f" ({status})" if status else ""
    found.failed("binder.launch", f"{where}: {why}{code}", fix, permanent=permanent)
    found.skipped(CHECKS[1:3], "not tried: there is no notebook")
    if course.launching:
        found.warned("binder.stopped", MAY_RUN, "kubectl get pods -n binderhub")


_FIXES = {
    "": "kubectl logs deploy/binder -n binderhub",
    "launching": "kubectl logs deploy/hub -n binderhub; kubectl get pods,events -n binderhub",
    "built": "kubectl logs deploy/hub -n binderhub",
    "pushing": "may the build pods push to the registry? Look at the push secret",
    "waiting": "kubectl get pods,events -n binderhub: is the build's pod scheduled?",
}


def _limits(found: Findings, course: build.Course, token: str) -> None:
    """Say how little is left of a rate limit, which builds with a token do not use up."""
    left, most = (course.limits.get(f"x-ratelimit-{name}", "") for name in ("remaining", "limit"))
    if not token and re.fullmatch(r"\d{1,6}", left) and int(left) <= 2:
        message = f"{left} of {most} builds are left to this address for now"
        found.warned("binder.rate-limit", message, _PROXIES)


def _notebook(found: Findings, target: Target, ready: dict[str, Any]) -> Notebook | None:
    """The notebook server of the event ``ready``, if its token may be sent where it is."""
    url, token = ready.get("url"), ready.get("token")
    problem, fix = "the event ready has no address and token", _FIXES[""]
    at = _place(url)
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,4096}", token):
        pass
    elif isinstance(url, str) and url.startswith("http://"):
        problem = "the notebook is at plain http://, where its token is not sent"
        fix = "BinderHub.hub_url begins with https://"
    elif at is None:
        problem = "the notebook's address cannot be read"
    elif not akin(target, at):
        problem = f"the notebook is on another host, {at.host}: its token is not sent there"
        fix = f"--jupyterhub https://{at.authority}/ says that it belongs to it"
    else:
        return Notebook(Site(stopping.beside(target, at)), token)
    found.failed("binder.launch", problem, fix, permanent=True)
    found.skipped(CHECKS[1:3], "not tried: there is no notebook")
    message = "its server may still be running; the hub's culler ends it when nobody uses it"
    found.warned("binder.stopped", message, fix)
    return None


def _place(url: object) -> Target | None:
    """Where a notebook is; a query holds its token."""
    if not isinstance(url, str):
        return None
    try:
        return parse(re.split(r"[?#]", url)[0])
    except UsageError:
        return None


def akin(target: Target, at: Target) -> bool:
    """Whether ``at`` is the target's host, its hub's, or of the same domain.

    Whose domain it is, is told from the Public Suffix List (https://publicsuffix.org).
    """
    hub = target.hub or ""
    named = parse(hub).host if hub.startswith("https://") else None
    if at.host in (target.host, named):
        return True
    if is_address(target.host) or is_address(at.host):
        return False
    from publicsuffixlist import PublicSuffixList

    theirs, ours = map(PublicSuffixList().privatesuffix, (at.host, target.host))
    return ours is not None and theirs == ours
