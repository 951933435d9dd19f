"""The JupyterHub that a BinderHub launches on, asked by us.

/health alone does not prove it: a ``hub_url`` that points at BinderHub itself is answered by its
catch-all page with 200, and BinderHub calls that healthy.
"""

from __future__ import annotations

import re
import urllib.parse

from barehub.errors import UsageError
from barehub.verify import dial
from barehub.verify.finding import Findings
from barehub.verify.http import Answer, Client, Unanswered
from barehub.verify.target import Target, parse

USUAL = ("/hub/", "/jupyter/hub/")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_FIX = "is the JupyterHub up? If it is elsewhere: --hub PATH or --hub https://HOST/PATH"


def place(text: str) -> str:
    """Where the hub is, as a person says it: a path or an https:// URL.

    :raises UsageError: it is neither.
    """
    if text.startswith("https://"):
        return parse(text).url
    if not _PATH.fullmatch(text):
        raise UsageError(f"--hub {text!r} is neither a path nor an https:// URL", "--hub /jupyter/")
    return text.rstrip("/") + "/"


async def check(found: Findings, client: Client, target: Target) -> None:
    """hub.api: that what answers at the hub's address is a JupyterHub."""
    if target.builds == "fake":
        found.skipped(["hub.api"], "not asked: with faked builds there is no JupyterHub")
    elif target.hub is None:
        await _search(found, client, target)
    elif target.hub.startswith("https://"):
        await _elsewhere(found, target, parse(target.hub))
    else:
        path = target.hub.removesuffix("hub/") + "hub/api"
        try:
            answer = await client.get(path)
        except Unanswered as error:
            found.failed("hub.api", str(error), _FIX, permanent=False)
        else:
            _judge(found, path, answer)


async def _search(found: Findings, client: Client, target: Target) -> None:
    """A hub on another host is normal, and not to be found from here: no alarm."""
    paths = dict.fromkeys((f"{target.base_path}hub/", *USUAL))
    for path in paths:
        try:
            answer = await client.get(f"{path}api")
        except Unanswered:
            continue
        if version(answer):
            _judge(found, f"{path}api", answer)
            return
    where = ", ".join(paths)
    found.skipped(["hub.api"], f"no JupyterHub at {where}: --hub says where it is")


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
    path = f"{hub.base_path.removesuffix('hub/')}hub/api"
    try:
        answer = await client.get(path)
    except Unanswered as error:
        found.failed("hub.api", f"{hub.url}: {error}", _FIX, permanent=False)
    else:
        _judge(found, urllib.parse.urljoin(hub.url, path), answer)
    finally:
        await client.close()


def version(answer: Answer) -> str | None:
    """The version of the JupyterHub that answered, if it is one."""
    said = (answer.object or {}).get("version")
    known = answer.status == 200 and "x-jupyterhub-version" in answer.headers
    return said if known and isinstance(said, str) else None


def _judge(found: Findings, where: str, answer: Answer) -> None:
    if running := version(answer):
        found.passed("hub.api", f"JupyterHub {running} at {where}")
        return
    page = ", with a page" if "html" in answer.headers.get("content-type", "") else ""
    message = f"{where} answers {answer.status}{page}: that is no JupyterHub"
    found.failed("hub.api", message, _FIX, permanent=False)
