"""Findings about HTTP around the hub: redirects, HSTS, what a proxy says."""

from __future__ import annotations

import re
import urllib.parse
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from barehub.verify import dial
from barehub.verify.finding import Findings
from barehub.verify.http import Answer, Client, Unanswered
from barehub.verify.target import Target, is_address, is_local

HOPS = 5
REDIRECTS = (301, 302, 303, 307, 308)
HSTS_SECONDS = 15724800
"""ingress-nginx's default: half a year."""

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
    if target.port != 443 and target.plain_port == 80:
        found.skipped(["http.redirect"], f"not asked: the hub is on port {target.port}, not on 443")
        return
    client = Client(target.host, lambda: dial.plain(addresses[:1], target.plain_port))
    try:
        answer = await client.get(target.base_path)
    except Unanswered as error:
        found.informed("http.redirect", f"plain HTTP is not answered: {error}")
        return
    finally:
        await client.close()
    where = answer.headers.get("location", "")
    parts = _split(where)
    if answer.status in REDIRECTS and parts.scheme == "https" and parts.hostname == target.host:
        found.passed("http.redirect", "plain HTTP leads to https")
    elif answer.status in REDIRECTS:
        fix = f"redirect to {target.url}"
        found.failed("http.redirect", f"plain HTTP leads to {where}", fix, permanent=False)
    elif found.vantage == "origin":
        fix = "force-ssl-redirect at the ingress"
        found.warned("http.redirect", f"plain HTTP answers {answer.status} without TLS", fix)
    else:
        fix = "force-ssl-redirect at the ingress; at Cloudflare, Always Use HTTPS"
        message = f"plain HTTP answers {answer.status}: who types no https:// is not protected"
        found.failed("http.redirect", message, fix, permanent=False)


async def follow(
    found: Findings, client: Client, target: Target, answer: Answer, proxied: bool
) -> None:
    """Where a redirect leads, on this host alone: nothing is asked of another."""
    seen, at = set(), target.base_path + "versions"
    for _ in range(HOPS):
        where = answer.headers.get("location", "")
        if answer.status not in REDIRECTS or not where:
            return
        goal = urllib.parse.urljoin(f"https://{target.authority}{at}", where)
        parts = _split(goal)
        if parts.scheme == "http":
            message = f"it leads from https down to {goal}"
            fix = _FLEXIBLE if proxied else "let the hub redirect to https only"
            found.failed("http.redirect-downgrade", message, fix, permanent=False)
            return
        if parts.netloc.removesuffix(":443") != target.authority:
            return  # another host: the binder rung says so
        at = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        if goal in seen:
            break
        seen.add(goal)
        try:
            answer = await client.get(at)
        except Unanswered:
            return
    fix = _FLEXIBLE if proxied else "follow it with curl -sIL, and take one of the redirects out"
    found.failed("http.redirect-loop", f"it redirects in a circle, by {at}", fix, permanent=False)


def hsts(found: Findings, target: Target, answer: Answer) -> None:
    """Whether browsers remember to use https (RFC 6797)."""
    if is_address(target.host) or is_local(target.host):
        return  # browsers ignore it there (RFC 6797, 8.1.1), or nobody else comes
    said = answer.headers.get("strict-transport-security", "")
    age = re.search(r'(?:^|;)\s*max-age\s*=\s*"?(\d{1,12})"?\s*(?:;|$)', said, re.IGNORECASE)
    seconds = int(age[1]) if age else 0
    if seconds >= HSTS_SECONDS:
        found.passed("http.hsts", f"browsers remember https for {seconds // 86400} days")
    else:
        what = f"for {seconds} s only" if seconds else "not at all"
        fix = f'send Strict-Transport-Security: "max-age={HSTS_SECONDS}"'
        found.warned("http.hsts", f"browsers remember https {what}", fix)


def clock_skew(found: Findings, answer: Answer, now: datetime) -> None:
    """Whether this machine's clock and the server's agree; nothing is said if they do."""
    try:
        there = parsedate_to_datetime(answer.headers.get("date", ""))
        apart = abs(there - now)
    except (ValueError, TypeError):
        return
    if apart > SKEW:
        minutes = int(apart.total_seconds() // 60)
        order = "behind" if there > now else "before"
        message = f"this machine's clock is {minutes} min {order} the server's"
        found.warned("tls.clock-skew", message, "timedatectl: set the clock that is wrong")


def _split(url: str) -> urllib.parse.SplitResult:
    try:
        return urllib.parse.urlsplit(url)
    except ValueError:
        return urllib.parse.urlsplit("")
