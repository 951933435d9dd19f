"""Plain REST to OpenStack, as one user in one project."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from .layout import REGION

TIMEOUT_SECONDS = 60
_PLAIN = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """A service answered with an HTTP status of 400 or more."""

    def __init__(self, what: str, status: int, text: str) -> None:
        super().__init__(f"{what}: {status} {text}")
        self.status = status


@dataclass
class Session:
    """A user's token for a project, and the addresses of its catalog."""

    auth_url: str
    user: str
    password: str
    project: str
    region: str = REGION
    token: str = ""
    project_id: str = ""
    user_id: str = ""
    _catalog: dict[str, str] = field(default_factory=dict)

    def log_in(self) -> None:
        """:raises Refused: wrong user, password or project."""
        domain = {"id": "default"}
        user = {"name": self.user, "password": self.password, "domain": domain}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": self.project, "domain": domain}}
        body = {"auth": {"identity": identity, "scope": scope}}
        headers, answer = _send("POST", f"{self.auth_url}/auth/tokens", body, {})
        self.token = headers["X-Subject-Token"]
        self.project_id = answer["token"]["project"]["id"]
        self.user_id = answer["token"]["user"]["id"]
        self._catalog = {
            service["type"]: endpoint["url"]
            for service in answer["token"].get("catalog", ())
            for endpoint in service["endpoints"]
            if (endpoint["interface"], endpoint["region"]) == ("public", self.region)
        }

    def __call__(
        self, service: str, method: str, path: str, body: Any = None, **headers: str
    ) -> Any:
        """What ``METHOD path`` of a type of service answers, decoded; ``None`` if nothing.

        :raises Refused: the service says no.
        """
        if not self.token:
            self.log_in()
        base = self.auth_url if service == "identity" else self._catalog[service]
        sent = {"X-Auth-Token": self.token} | {k.replace("_", "-"): v for k, v in headers.items()}
        return _send(method, base + path, body, sent)[1]


def _send(method: str, url: str, body: Any, headers: dict[str, str]) -> Any:
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    kind = {} if data is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(url, method=method, data=data, headers=kind | headers)
    try:
        with _PLAIN.open(request, timeout=TIMEOUT_SECONDS) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        raise Refused(f"{method} {url}", error.code, text) from None
    return answer.headers, json.loads(text) if text else None
