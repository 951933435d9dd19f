"""What Cloudflare has: the zones that a token sees, and the records in them.

Its interface is spoken to as its documentation gives it (https://developers.cloudflare.com/api):
four calls, where its own SDK takes a second to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from barehub.cloud.web import Environment, Refused, paged, session, shortened, trusted, unreachable
from barehub.errors import CloudError

HOST, PATH = "api.cloudflare.com", "/client/v4"

PER_PAGE = 50
"""Zones or records that are asked for at once; 50 is the most that /zones gives."""

BAD_TOKEN = ("1000", "6003", "9109", "10000")
"""Cloudflare's codes for a token that is malformed, unknown, or not for this at all."""


@dataclass(frozen=True)
class Zone:
    """A domain that Cloudflare serves."""

    id: str
    name: str


@dataclass(frozen=True)
class Record:
    """One DNS record; ``content`` is its address when ``proxied``, too, where DNS tells another."""

    id: str
    zone: Zone
    name: str
    type: str
    content: str
    proxied: bool
    comment: str


def has_credentials(env: Environment) -> bool:
    """Whether ``env`` holds a Cloudflare token, or a global key and its e-mail address."""
    key = env.get("CLOUDFLARE_API_KEY") and env.get("CLOUDFLARE_EMAIL")
    return bool(env.get("CLOUDFLARE_API_TOKEN") or key)


class Cloudflare:
    """Cloudflare as one token sees it; each method raises :class:`CloudError` when it fails.

    :param env: the vault's section ``environment``; must pass :func:`has_credentials`
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        host, path = env.get("CLOUDFLARE_API_HOSTNAME", HOST), PATH
        self._base = (env.get("CLOUDFLARE_BASE_URL") or f"https://{host}{path}").rstrip("/")
        named = ("CLOUDFLARE_BASE_URL", "CLOUDFLARE_API_HOSTNAME")
        self._place = next((f"environment.{name}" for name in named if env.get(name)), HOST)

    @cached_property
    def _web(self) -> Any:
        web = session()
        web.verify = trusted(self._env)
        if token := self._env.get("CLOUDFLARE_API_TOKEN"):
            web.headers["Authorization"] = f"Bearer {token}"
        else:
            web.headers["X-Auth-Key"] = self._env["CLOUDFLARE_API_KEY"]
            web.headers["X-Auth-Email"] = self._env["CLOUDFLARE_EMAIL"]
        return web

    def zones(self, name: str = "") -> list[Zone]:
        """The zones that the token sees; only the one called ``name``, if one is given."""
        query = {"name": name} if name else {}
        return [Zone(str(z["id"]), str(z["name"])) for z in self._list("/zones", query)]

    def zone_of(self, name: str) -> Zone | None:
        """The zone in which ``name`` lies, or nothing when the token sees no such zone."""
        labels = name.rstrip(".").split(".")
        for cut in range(len(labels) - 1):
            if found := self.zones(".".join(labels[cut:])):
                return found[0]
        return None

    def zone(self, id: str) -> Zone | None:
        """The zone with that id, or nothing when the token does not see it."""
        try:
            told = self._ask("GET", f"/zones/{quote(id, safe='')}")["result"]
        except Refused:  # the same code as for a token that is unknown
            return None
        except _Answered as error:
            if error.status in (400, 403, 404):
                return None
            raise
        return Zone(str(told["id"]), str(told["name"]))

    def records(self, zone: Zone, **query: str) -> list[Record]:
        """The records of ``zone``; ``query`` may narrow them by ``name``, ``type``, ``content``."""
        told = self._list(f"/zones/{zone.id}/dns_records", query)
        return [
            Record(
                str(r["id"]),
                zone,
                str(r["name"]),
                str(r["type"]),
                str(r.get("content", "")),
                bool(r.get("proxied")),
                str(r.get("comment") or ""),
            )
            for r in told
        ]

    def delete(self, zone: str, record: str) -> None:
        """Remove the record of that id from the zone of that id, unless it is gone already."""
        try:
            self._ask("DELETE", f"/zones/{zone}/dns_records/{record}")
        except _Answered as error:
            if error.status != 404:
                raise

    def reaches(self) -> list[str]:
        """What besides zones the credentials reach, and a hub does not need.

        A token that is for a zone alone gets an empty list, or a refusal.
        """
        if not self._env.get("CLOUDFLARE_API_TOKEN"):
            return ["everything: it is the account's global key"]
        found = []
        for path, what in (("/accounts", "the whole account"), ("/user/tokens", "other tokens")):
            try:
                if self._ask("GET", path).get("result"):
                    found.append(what)
            except (Refused, _Answered):
                continue
        return found

    def _list(self, path: str, query: Mapping[str, str]) -> list[Any]:
        def page(number: int) -> tuple[list[Any], int]:
            asked = {**query, "page": str(number), "per_page": str(PER_PAGE)}
            answer = self._ask("GET", path, asked)
            pages = (answer.get("result_info") or {}).get("total_pages") or 1
            return list(answer["result"] or []), int(pages)

        return paged(page)

    def _ask(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        import requests

        try:
            answer = self._web.request(method, self._base + path, params=query)
            told = answer.json()
        except requests.exceptions.JSONDecodeError:
            raise CloudError(
                f"Cloudflare's interface answers {answer.status_code} with something else",
            ) from None
        except (requests.RequestException, OSError) as error:
            raise unreachable("Cloudflare", self._place, error) from None
        if isinstance(told, dict) and told.get("success"):
            return told
        errors = told.get("errors") if isinstance(told, dict) else None
        first = errors[0] if errors else {}
        words = f"{first.get('code', '')} {first.get('message', '')}".strip() or "no reason given"
        if answer.status_code == 401 or str(first.get("code")) in BAD_TOKEN:
            raise Refused(f"Cloudflare refuses the token: {shortened(words)}", _RENEW)
        raise _Answered(answer.status_code, words)


_RENEW = (
    "invoke vault.set environment.CLOUDFLARE_API_TOKEN"
    "   (Zone: Read and DNS: Edit, for the hub's zone alone)"
)


class _Answered(CloudError):
    """An error of Cloudflare's, and its HTTP status."""

    def __init__(self, status: int, words: str) -> None:
        self.status = status
        super().__init__(f"Cloudflare refuses: {status}, {shortened(words)}")
