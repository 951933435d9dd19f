"""A notebook server that a BinderHub launched: its token, a kernel, its end."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
import uuid
from typing import Any

from barehub.verify.finding import Findings
from barehub.verify.http import Unanswered
from barehub.verify.launching.site import Site

KERNEL_SECONDS = 90.0
MESSAGE_BYTES = 1024 * 1024
READY_TRIES, READY_PAUSE = 6, 2.0
"""A proxy may take a moment until it knows of the new server."""

_CODE, _RESULT = "1+1", re.compile(r"(?:^|\s)2(?:\.0)?$")
"""The same in Python, R and Julia."""

_LOG = "kubectl logs of the notebook's pod, and of the proxy"


class Notebook:
    """A notebook server on ``site``, below the site's base path; ``token`` opens it."""

    def __init__(self, site: Site, token: str) -> None:
        self._site = site
        self._token = token
        self._base = site.target.base_path

    @property
    def url(self) -> str:
        return self._site.target.url

    async def prove(self, found: Findings) -> bool:
        """notebook.api: its token opens it, and nothing else does."""
        path = f"{self._base}api/status"
        try:
            status = await self._reached(path)
            bare = (await self._site.ask(path)).status
        except Unanswered as error:
            found.failed("notebook.api", str(error), _LOG, permanent=True)
            return False
        if status != 200:
            message = f"{self.url}api/status answers {status} to the notebook's own token"
            found.failed("notebook.api", message, _LOG, permanent=True)
        elif bare == 200:
            message = f"{self.url}api/status answers 200 without a token: it is open to everyone"
            fix = "does the hub's spawner pass the token on? BinderSpawnerMixin does"
            found.failed("notebook.api", message, fix, permanent=True)
        else:
            found.passed("notebook.api", f"its token opens {self.url}, nothing ({bare}) does not")
        return status == 200

    async def _reached(self, path: str) -> int:
        for left in reversed(range(READY_TRIES)):
            status = (await self._site.ask(path, token=self._token)).status
            if status not in (404, 502, 503, 504) or not left:
                break
            await asyncio.sleep(READY_PAUSE)
        return status

    async def compute(self, found: Findings) -> None:
        """notebook.kernel: 1+1 is 2, over a websocket as browsers use it."""
        fix = "does every proxy in between pass websockets on (Upgrade, Connection)?"
        try:
            async with asyncio.timeout(KERNEL_SECONDS):
                kernel = await self._kernel()
                said = await self._execute(kernel, _CODE)
        except (Unanswered, OSError) as error:
            # OSErrors of a connection may have its address, but have never seen the token
            timed_out = isinstance(error, TimeoutError)
            why = f"no result within {KERNEL_SECONDS:g} s" if timed_out else str(error)
            found.failed("notebook.kernel", f"{_CODE} in a kernel: {why}", fix, permanent=True)
            return
        if _RESULT.search(said):
            found.passed("notebook.kernel", f"a kernel computes {_CODE} = 2")
        else:
            message = f"a kernel says of {_CODE}: {said[:80] or 'nothing'}"
            found.failed("notebook.kernel", message, _LOG, permanent=True)

    async def _kernel(self) -> str:
        path = f"{self._base}api/kernels"
        answer = await self._site.ask(path, "POST", token=self._token, body={}, seconds=60)
        kernel = (answer.object or {}).get("id")
        if answer.status != 201 or not isinstance(kernel, str):
            raise Unanswered(f"{path} answers {answer.status} and starts none")
        return urllib.parse.quote(kernel[:100], safe="")

    async def _execute(self, kernel: str, code: str) -> str:
        """The result of ``code`` as text.

        :raises Unanswered: the websocket could not be opened, or broke.
        """
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException

        target = self._site.target
        session, request = uuid.uuid4().hex, uuid.uuid4().hex
        # With a socket that is given it follows no redirect, and asks no proxy
        opening = connect(
            f"wss://{target.authority}{self._base}api/kernels/{kernel}/channels",
            sock=await self._site.connect(),
            ssl=self._site.context,
            server_hostname=target.host,
            additional_headers={"Authorization": f"token {self._token}"},
            user_agent_header="barehub",
            compression=None,
            proxy=None,
            max_size=MESSAGE_BYTES,
            open_timeout=None,
            close_timeout=1,
        )
        try:
            async with opening as socket:
                await socket.send(json.dumps(_execute_request(code, session, request)))
                async for message in socket:
                    result = _result(message, request)
                    if result is not None:
                        return result
        except InvalidStatus as error:
            status = error.response.status_code
            raise Unanswered(f"the websocket is refused with {status}") from None
        except (WebSocketException, ValueError) as error:
            raise Unanswered(f"the websocket broke ({type(error).__name__})") from None
        raise Unanswered("the websocket was closed before the result came")

    async def shut_down(self) -> int:
        """The status of the answer to its own request to end.

        :raises Unanswered: none came.
        """
        path = f"{self._base}api/shutdown"
        return (await self._site.ask(path, "POST", token=self._token, body={})).status


def _execute_request(code: str, session: str, request: str) -> dict[str, Any]:
    """https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute"""
    header = {
        "msg_id": request,
        "msg_type": "execute_request",
        "session": session,
        "username": "barehub",
        "date": "",
        "version": "5.3",
    }
    content = {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }


def _result(message: str | bytes, request: str) -> str | None:
    """What a message says of the request: its result, an error's name, or nothing (None)."""
    try:
        said = json.loads(message) if isinstance(message, str) else {}
        if said["parent_header"]["msg_id"] != request:
            return None
        content = said["content"]
        match said["header"]["msg_type"]:
            case "execute_result":
                return str(content["data"]["text/plain"]).strip()
            case "error":
                return str(content["ename"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return None
