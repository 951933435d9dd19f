"""Findings about HTTP around the hub: redirects, HSTS, what a proxy says."""

from __future__ import annotations

import asyncio
import re
import urllib.parse
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from barehub.verify import dial
from barehub.verify.finding import Findings
from barehub.verify.http import Answer, Client, Unanswered
from barehub.verify.target import Target, is_address, is_local, join

HOPS = 5
SECONDS = 15.0
"""For all the hops of one trail."""

REDIRECTS = (301, 302, 303, 307, 308)
HSTS_SECONDS = 15724800
"""ingress-nginx's default: half a year."""

_DIGITS = 12
_SAFE = "/%:@!$&'()*+,;=~?"

SKEW = timedelta(minutes=5)

_CLOUDFLARE = {
    520: ("the origin answers with something that is no HTTP", "look at the ingress's log"),
    521: ("the origin refuses the connection", "is the hub up, and its port open to Cloudflare?"),
    522: (
        "the origin does not answer",
        "a security group or firewall drops Cloudflare's addresses",
    ),
    523: ("there is no route to the origin", "is the floating IP attached?"),
    524: ("the origin answers too late", "look at the hub's pods"),
    525: ("the TLS handshake with the origin failed", "does the ingress have TLS on 443?"),
    526: ("the origin's certificate is invalid", "the findings at the origin say why"),
    530: ("Cloudflare cannot find the origin", "is the DNS record of the origin there?"),
}
"""https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/"""

_FLEXIBLE = "Cloudflare, SSL/TLS: from Flexible to Full (strict)"


def proxied(answer: Answer) -> bool:
    """Whether Cloudflare's proxy stands in between."""
    return "cf-ray" in answer.headers


def cloudflare(found: Findings, answer: Answer) -> bool:
    """Whether it is Cloudflare that says that the machine behind it cannot be used."""
    if not (proxied(answer) and 520 <= answer.status <= 530):
        return False
    what, fix = _CLOUDFLARE.get(answer.status, ("the origin cannot be used", "look at the origin"))
    fix = f"{fix}; --connect-to ADDRESS looks at the machine itself"
    found.failed(
        "http.cloudflare-5xx", f"{answer.status} from Cloudflare: {what}", fix, permanent=False
    )
    return True


async def redirect(found: Findings, target: Target, addresses: list[str], proxied: bool) -> None:
    """Whether who types the name without https:// arrives."""
    port = target.connect_to[1] if target.connect_to else target.port
    if port != 443 and target.plain_port == 80:
        found.skipped(["http.redirect"], f"not asked: the hub is on port {port}, not on 443")
        return
    authority = join(target.host, target.plain_port).removesuffix(":80")
    client = Client(authority, lambda: dial.plain(addresses[:1], target.plain_port))
    start = f"http://{authority}{target.base_path}"
    try:
        async with asyncio.timeout(SECONDS):
            trail, answer = await _trail(client, start, await client.get(target.base_path))
    except (Unanswered, TimeoutError) as error:
        why = str(error) or f"not within {SECONDS:g} s"
        found.informed("http.redirect", f"plain HTTP is not answered: {why}")
        return
    finally:
        await client.close()
    where = trail[-1] if trail else start
    if _authority(where) == ("https", target.host, target.port):
        found.passed("http.redirect", "plain HTTP leads to https")
    elif _authority(where) != _authority(start) or answer.status in REDIRECTS:
        fix = f"redirect to {target.url}"
        found.failed("http.redirect", f"plain HTTP leads to {where}", fix, permanent=False)
    else:
        fix = "at Cloudflare: Always Use HTTPS" if proxied else "force-ssl-redirect at the ingress"
        message = f"plain HTTP answers {answer.status}: who types no https:// is not protected"
        if found.vantage == "origin":
            found.warned("http.redirect", message, fix)
        else:
            found.failed("http.redirect", message, fix, permanent=False)


async def follow(
    found: Findings, client: Client, target: Target, answer: Answer, proxied: bool
) -> None:
    """Where a redirect of ``versions`` leads, on this host alone: nothing is asked of another."""
    start = f"{target.url}versions"
    try:
        async with asyncio.timeout(SECONDS):
            trail, answer = await _trail(client, start, answer)
    except (Unanswered, TimeoutError):
        await client.close()
        return
    where = trail[-1] if trail else ""
    if _split(where).scheme == "http":
        message = f"it leads from https down to {where}"
        fix = _FLEXIBLE if proxied else "let the hub redirect to https only"
        found.failed("http.redirect-downgrade", message, fix, permanent=False)
    elif _authority(where) == _authority(start) and answer.status in REDIRECTS:
        circle = where in (start, *trail[:-1])
        how = "redirects in a circle, by" if circle else f"redirects {HOPS} times, at last to"
        fix = _FLEXIBLE if proxied else "see it with curl -sIL, and take one redirect out"
        found.failed("http.redirect-loop", f"it {how} {where}", fix, permanent=False)
    # another host is not asked: the binder rung says where it leads


async def _trail(client: Client, at: str, answer: Answer) -> tuple[list[str], Answer]:
    """The URLs that redirects from ``at`` lead to, and the last answer.

    It ends at what is no redirect, a circle, after :data:`HOPS`, or where another host, port or
    scheme begins, which is not asked.

    :raises Unanswered: one of them is not answered.
    """
    trail: list[str] = []
    while answer.status in REDIRECTS and (where := answer.headers.get("location")):
        goal = _joined(at, where)
        known = goal in (at, *trail)
        trail.append(goal)
        if known or len(trail) > HOPS or _authority(goal) != _authority(at):
            break
        answer, at = await client.get(_request_target(goal)), goal
    return trail, answer


def _joined(at: str, where: str) -> str:
    try:
        return urllib.parse.urljoin(at, where)
    except ValueError:
        return where


def _request_target(url: str) -> str:
    """The path and query to ask for: nothing in it can begin a header of its own."""
    parts = _split(url)
    path = urllib.parse.quote(parts.path or "/", safe=_SAFE)
    return path + (f"?{urllib.parse.quote(parts.query, safe=_SAFE)}" if parts.query else "")


def _authority(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = _split(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    usual = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname or "", usual if port is None else port


def hsts(found: Findings, target: Target, answer: Answer) -> None:
    """Whether browsers remember to use https (RFC 6797)."""
    if is_address(target.host) or is_local(target.host):
        return  # browsers ignore it there (RFC 6797, 8.1.1), or nobody else comes
    seconds = _max_age(answer.headers.get("strict-transport-security", ""))
    if seconds >= HSTS_SECONDS:
        found.passed("http.hsts", f"browsers remember https for {seconds // 86400} days")
    else:
        what = f"for {seconds} s only" if seconds else "not at all"
        fix = f'send Strict-Transport-Security: "max-age={HSTS_SECONDS}"'
        found.warned("http.hsts", f"browsers remember https {what}", fix)


def _max_age(header: str) -> int:
    """For how many seconds; 0 if it says so or is not valid: no or two ``max-age``."""
    pairs = [directive.partition("=") for directive in header.split(";")]
    ages = [value.strip() for name, _, value in pairs if name.strip().lower() == "max-age"]
    age = re.fullmatch(r'([0-9]+)|"([0-9]+)"', ages[0]) if len(ages) == 1 else None
    return int((age[1] or age[2])[:_DIGITS]) if age else 0


def clock_skew(found: Findings, answer: Answer, now: datetime) -> None:
    """Whether this machine's clock and the server's agree; nothing is said if they do."""
    try:
        there = parsedate_to_datetime(answer.headers.get("date", ""))
        there += timedelta(seconds=int(answer.headers.get("age", 0)))  # in a cache (RFC 9111, 5.1)
        apart = abs(there - now)
    except (ValueError, TypeError, OverflowError):
        return
    if apart > SKEW:
        minutes = int(apart.total_seconds() // 60)
        order = "behind" if there > now else "ahead of"
        message = f"this machine's clock is {minutes} min {order} the server's"
        found.warned("tls.clock-skew", message, "timedatectl: set the clock that is wrong")


def _split(url: str) -> urllib.parse.SplitResult:
    try:
        return urllib.parse.urlsplit(url)
    except ValueError:
        return urllib.parse.urlsplit("")
