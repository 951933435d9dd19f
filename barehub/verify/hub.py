"""The JupyterHub that a BinderHub launches on, asked by us.

/health alone does not prove it: a ``hub_url`` that points at BinderHub itself is answered by its
catch-all page with 200, and BinderHub calls that healthy.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import urllib.parse

from barehub.errors import UsageError
from barehub.verify import dial
from barehub.verify.finding import Findings
from barehub.verify.http import Answer, Client, Unanswered
from barehub.verify.target import Target, parse

SEARCH_SECONDS = 10.0
USUAL = ("/hub/", "/jupyter/hub/")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
_FIX = (
    "is the JupyterHub up? If it is elsewhere: --jupyterhub PATH or --jupyterhub https://HOST/PATH"
)


def place(text: str) -> str:
    """Where the hub is, as a person says it: a path or an https:// URL.

    :raises UsageError: it is neither.
    """
    if text.startswith("https://"):
        return parse(text).url
    if not text or not _PATH.fullmatch(text):
        raise UsageError(
            f"--jupyterhub {text!r} is neither a path nor an https:// URL", "--jupyterhub /jupyter/"
        )
    return text.rstrip("/") + "/"


async def check(found: Findings, client: Client, target: Target) -> None:
    """hub.api and hub.version: that what answers at the hub's address is a JupyterHub."""
    if target.builds == "fake":
        found.skipped(["hub.api"], "not asked: with faked builds there is no JupyterHub")
        return
    if target.hub is None:
        await _search(found, client, target)
        return
    try:
        hub = parse(urllib.parse.urljoin(target.url, place(target.hub)))
    except UsageError as error:  # of a module's output
        found.failed("hub.api", error.problem, _FIX, permanent=True)
        return
    if hub.authority == target.authority:
        await _ask(found, client, hub, hub.base_path)
    else:
        await _elsewhere(found, target, hub)


async def _ask(found: Findings, client: Client, hub: Target, where: str) -> None:
    """``where`` is how a person is told of the hub's base path."""
    path, said = (
        f"{base.removesuffix('/hub/').rstrip('/')}/hub/api" for base in (hub.base_path, where)
    )
    try:
        answer = await client.get(path)
    except Unanswered as error:
        found.failed("hub.api", f"{said}: {error}", _FIX, permanent=False)
    else:
        _judge(found, said, answer)


async def _search(found: Findings, client: Client, target: Target) -> None:
    """A hub on another host is normal, and not to be found from here: no alarm."""
    paths = dict.fromkeys((f"{target.base_path}hub/", *USUAL))
    try:
        async with asyncio.timeout(SEARCH_SECONDS):
            for path in paths:
                with contextlib.suppress(Unanswered):
                    answer = await client.get(f"{path}api")
                    if version(answer):
                        _judge(found, f"{path}api", answer)
                        return
    except TimeoutError:
        await client.close()
    where = ", ".join(paths)
    found.skipped(["hub.api"], f"no JupyterHub at {where}: --jupyterhub says where it is")


async def _elsewhere(found: Findings, target: Target, hub: Target) -> None:
    contexts = dial.contexts(target.ca_file)

    async def connect() -> dial.Stream:
        try:
            addresses = await dial.resolve(hub.host)
        except dial.Unresolved as error:
            raise dial.Unconnected(str(error), _FIX) from None
        sock, _ = await dial.connect(addresses, hub.port)
        return await dial.secure(sock, contexts.full, hub.host)

    client = Client(hub.authority, connect)
    try:
        await _ask(found, client, hub, hub.url)
    finally:
        await client.close()


def version(answer: Answer) -> str | None:
    """The version of the JupyterHub that answered, if it is one."""
    said = _version(answer)
    return said if said == answer.headers.get("x-jupyterhub-version") else None


def _version(answer: Answer) -> str | None:
    said = (answer.object or {}).get("version") if answer.status == 200 else None
    return said if isinstance(said, str) else None


def _judge(found: Findings, where: str, answer: Answer) -> None:
    """A Jupyter server has a version at ``/api``, too; the header is JupyterHub's alone."""
    running, header = _version(answer), answer.headers.get("x-jupyterhub-version")
    if running and running == header:
        found.passed("hub.api", f"JupyterHub {running} at {where}")
        found.passed("hub.version", f"X-JupyterHub-Version is {header}, too")
        return
    if running:
        differs = (
            f"X-JupyterHub-Version is {header}" if header else "there is no X-JupyterHub-Version"
        )
        message = f"{where} says version {running}, {differs}: is it a JupyterHub?"
        found.failed("hub.version", message, _FIX, permanent=False)
        return
    page = ", with a page" if "html" in answer.headers.get("content-type", "") else ""
    message = f"{where} answers {answer.status}{page}: that is no JupyterHub"
    found.failed("hub.api", message, _FIX, permanent=False)
