"""Ends the server that a launch started, whatever else happened.

With a token of the JupyterHub (``BAREHUB_HUB_TOKEN``; the scopes ``read:servers``,
``delete:servers`` and ``delete:users`` are enough) the server is deleted, and its user; without,
the notebook is asked to shut itself down, which the hub notices within half a minute.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import urllib.parse
from collections.abc import Awaitable, Callable

from barehub.errors import UsageError
from barehub.verify.finding import Findings
from barehub.verify.http import Unanswered
from barehub.verify.launching.notebook import Notebook
from barehub.verify.launching.site import Site
from barehub.verify.target import Target, parse

VARIABLE = "BAREHUB_HUB_TOKEN"
"""The environment variable with a token of the JupyterHub."""

SECONDS = 45.0
POLLS, POLL_SECONDS = 15, 2.0
TRIES = 3

_CULLER = "the hub's culler ends it when nobody uses it"
_FIX = f"{VARIABLE} with a token of the hub that may delete servers and users"


async def surely(stop: Callable[[], Awaitable[None]]) -> None:
    """Run ``stop`` to its end, although a second Ctrl-C or the end of the loop cancels it.

    It is begun again then: what is stopped twice is stopped.
    """
    cancelled: asyncio.CancelledError | None = None
    for _ in range(TRIES):
        try:
            await stop()
            break
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        raise cancelled


async def stop(found: Findings, target: Target, notebook: Notebook) -> None:
    """binder.stopped: end the server of ``notebook``; says if it may still be running."""
    try:
        async with asyncio.timeout(SECONDS):
            why = await _delete(found, target, notebook)
            if why is None:
                return
            status = await notebook.shut_down()
    except (Unanswered, TimeoutError) as error:
        problem = str(error) or f"it was not gone after {SECONDS:g} s"
        message = f"the server may still be running: {problem}; {_CULLER}"
        found.warned("binder.stopped", message, _FIX)
        return
    if status in (200, 204):
        rest = "the hub notices it within half a minute, and keeps the record of its user"
        found.passed("binder.stopped", f"the notebook shuts itself down; {rest}{why}")
    else:
        message = f"the server may still be running: api/shutdown answers {status}; {_CULLER}{why}"
        found.warned("binder.stopped", message, _FIX)


async def _delete(found: Findings, target: Target, notebook: Notebook) -> str | None:
    """Delete the server and its user by the hub; None, or why that could not be done."""
    token = os.environ.get(VARIABLE, "").strip()
    if not token:
        return ""
    if not (token.isascii() and token.isprintable()):
        return f" ({VARIABLE} is not a token)"
    place = user_of(notebook.url)
    if place is None:
        return " (its address names no user of a hub)"
    at, user = place
    hub = hub_site(target, at)
    if hub is None:
        return f" ({VARIABLE} is not sent to {at.host}: --jupyterhub {at.url} says that it may be)"
    where = f"{hub.target.base_path}hub/api/users/{user}"
    try:
        status = (await hub.ask(f"{where}/server", "DELETE", token=token, seconds=20)).status
        for _ in range(POLLS if status == 202 else 0):
            await asyncio.sleep(POLL_SECONDS)
            answer = await hub.ask(where, token=token)
            if answer.status == 404 or (answer.object or {}).get("server", "") is None:
                status = 204
                break
        if status not in (204, 404):
            return f" (the hub answers {status} to {VARIABLE})"
        record = (await hub.ask(where, "DELETE", token=token)).status
    except Unanswered as error:
        return f" ({error})"
    if record in (204, 404):
        found.passed("binder.stopped", "its server and its user are deleted from the hub")
    else:
        kept = f"the hub keeps the user's record ({record} to its deletion)"
        found.passed("binder.stopped", f"its server is deleted from the hub; {kept}")
    return None


def user_of(url: str) -> tuple[Target, str] | None:
    """The hub's address and the user's name in the URL of a notebook server."""
    before, _, after = url.rpartition("/user/")
    user = after.partition("/")[0]
    if not before or not user or user in (".", ".."):
        return None
    try:
        return parse(f"{before}/"), urllib.parse.quote(urllib.parse.unquote(user), safe="")
    except UsageError:
        return None


def hub_site(target: Target, at: Target) -> Site | None:
    """The hub at ``at``, if its token may go there: to the target's host or to its --jupyterhub."""
    if at.host == target.host:
        return Site(beside(target, at))
    if target.hub and target.hub.startswith("https://"):
        named = parse(target.hub)
        if (named.host, named.port) == (at.host, at.port):
            return Site(beside(target, at))
    return None


def beside(target: Target, at: Target) -> Target:
    """``at``, trusted as ``target`` is, and on its machine if it has its name."""
    connect_to = None
    if target.connect_to and at.host == target.host:
        address, port = target.connect_to
        connect_to = (address, port if at.port == target.port else at.port)
    return dataclasses.replace(at, ca_file=target.ca_file, connect_to=connect_to)
