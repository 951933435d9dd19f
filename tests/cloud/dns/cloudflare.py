"""Cloudflare's API v4, as far as DNS records go, published in a real DNS server.

Not Cloudflare's own, which cannot be run here: paths, bodies and error codes are those that the
provider's releases 4 and 5 and Cloudflare's SDK use and understand. A proxied name resolves to
:data:`EDGE`, not to the record's content, as it does there.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from endpoints import ROOT, issue, private

from .knot import Knot, knot

ZONE = "example.org"
ZONE_ID = "023e105f4ecef8ad9ca31a8372d0c353"
EDGE = "127.0.0.1"
TYPES = frozenset({"A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"})
ADDRESSES = frozenset({"A", "AAAA", "CNAME"})
SETTABLE = ("name", "type", "content", "ttl", "proxied", "comment", "tags", "priority", "data")
Record = dict[str, Any]
Answer = tuple[Any, dict[str, int] | None]


class Refused(Exception):
    """An answer with an error of Cloudflare's: HTTP status, its code, its words."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Cloudflare:
    """One account with one zone; :func:`cloudflare` starts it."""

    def __init__(self, server: Knot, token: str, folder: Path) -> None:
        self.dns = server
        self.token = token
        self.tokens: dict[str, list[str]] = {token: [ZONE_ID]}
        """Each token, and the ids of the zones that it may edit."""
        self.zones: dict[str, str] = {ZONE_ID: ZONE}
        self.records: dict[str, Record] = {}
        self.requests: list[str] = []
        """Method and path of what was asked, in order."""
        self.refusals: list[tuple[str, Refused]] = []
        """What to answer the next request that begins so (``POST /zones``) instead of obeying."""
        self.may_leave = False
        """Whether the test may end with records; else that is a failure."""
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(ROOT.pem)
        self.port = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/client/v4"

    @property
    def env(self) -> dict[str, str]:
        """What leads the provider here, the token included."""
        return {
            "CLOUDFLARE_API_HOSTNAME": f"127.0.0.1:{self.port}",
            "CLOUDFLARE_API_TOKEN": self.token,
            "SSL_CERT_FILE": str(self.ca_file),  # Go's; it leaves out the system's authorities
        }

    def names(self) -> list[str]:
        """The names of all records, sorted."""
        return sorted(str(record["name"]) for record in self.records.values())

    def answer(self, method: str, target: str, authorization: str | None, body: Any) -> Answer:
        """The result, and a page's numbers where it is a list.

        :raises Refused: as Cloudflare would.
        """
        url = urllib.parse.urlsplit(target)
        path = url.path.removeprefix("/client/v4")
        query = dict(urllib.parse.parse_qsl(url.query))
        with self._lock:
            self.requests.append(f"{method} {path}")
            for number, (begin, refusal) in enumerate(self.refusals):
                if f"{method} {path}".startswith(begin):
                    del self.refusals[number]
                    raise refusal
            return self._route(method, path, query, self._zones_of(authorization), body)

    def _zones_of(self, authorization: str | None) -> list[str]:
        if not authorization:
            raise Refused(400, 10000, "Authentication error")
        token = authorization.removeprefix("Bearer ")
        if token not in self.tokens:
            raise Refused(403, 9109, "Invalid access token")
        return self.tokens[token]

    def _route(
        self, method: str, path: str, query: dict[str, str], mine: list[str], body: Any
    ) -> Answer:
        match [method, *path.strip("/").split("/")]:
            case ["GET", "user", "tokens", "verify"]:
                return {"id": "f" * 32, "status": "active"}, None
            case ["GET", "zones"]:
                found = [self._zone(i) for i in mine if query.get("name") in (None, self.zones[i])]
                return _page(found, query)
            case [_, "zones", zone, *_] if zone not in mine:
                raise Refused(403, 7003, f"Could not route to {path}, perhaps your object "
                              "identifier is invalid?")  # fmt: skip
            case ["GET", "zones", zone]:
                return self._zone(zone), None
            case ["GET", "zones", zone, "dns_records"]:
                return _page(self._found(zone, query), query)
            case ["POST", "zones", zone, "dns_records"]:
                return self._create(zone, body), None
            case [_, "zones", _, "dns_records", record] if record not in self.records:
                raise Refused(404, 81044, "Record does not exist.")
            case ["GET", "zones", _, "dns_records", record]:
                return self.records[record], None
            case ["PATCH" | "PUT", "zones", _, "dns_records", record]:
                return self._change(record, body, keep=method == "PATCH"), None
            case ["DELETE", "zones", _, "dns_records", record]:
                gone = self.records.pop(record)
                self._publish(gone)
                return {"id": record}, None
        raise Refused(404, 7000, "No route for that URI")

    def _zone(self, zone: str) -> dict[str, Any]:
        return {
            "id": zone,
            "name": self.zones[zone],
            "status": "active",
            "paused": False,
            "type": "full",
            "name_servers": [f"ns1.{self.zones[zone]}"],
            "account": {"id": "a" * 32, "name": "tests"},
            "plan": {"id": "f" * 32, "name": "Free"},
            "permissions": ["#dns_records:edit", "#dns_records:read", "#zone:read"],
        }

    def _found(self, zone: str, query: dict[str, str]) -> list[Record]:
        asked = {key.split(".")[0]: value for key, value in query.items()}
        wanted = {k: asked[k] for k in ("name", "type", "content") if k in asked}
        return [
            record
            for record in self.records.values()
            if record["zone_id"] == zone and all(record[k] == v for k, v in wanted.items())
        ]

    def _create(self, zone: str, body: Any) -> Record:
        new = self._checked(zone, {"proxied": False, "ttl": 1} | _settable(body))
        new |= {"id": uuid.uuid4().hex, "created_on": new["modified_on"]}
        self.records[new["id"]] = new
        self._publish(new)
        return new

    def _change(self, record: str, body: Any, *, keep: bool) -> Record:
        old = self.records[record]
        base = _settable(old) if keep else {"proxied": False, "ttl": 1}
        new = self._checked(old["zone_id"], base | _settable(body), record)
        self.records[record] = old | new
        self._publish(old, new)
        return self.records[record]

    def _checked(self, zone: str, record: Record, id: str | None = None) -> Record:
        if not record.get("name") or not record.get("content"):
            raise Refused(400, 9000, "DNS name is invalid.")
        if record.get("type") not in TYPES:
            raise Refused(400, 1004, "DNS Validation Error")
        if record["type"] == "A" and not re.fullmatch(r"(\d{1,3}\.){3}\d{1,3}", record["content"]):
            raise Refused(400, 9005, "Content for A record must be a valid IPv4 address.")
        if record["ttl"] != 1 and not 60 <= record["ttl"] <= 86400:
            raise Refused(
                400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic."
            )
        name = _absolute(record["name"], self.zones[zone])
        self._check_others(name, record, id)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        about = {"zone_id": zone, "zone_name": self.zones[zone], "modified_on": now, "tags": []}
        return about | record | {"name": name, "proxiable": record["type"] in ADDRESSES}

    def _check_others(self, name: str, record: Record, id: str | None) -> None:
        same = [o for o in self.records.values() if o["id"] != id and o["name"] == name]
        for other in same:
            if all(other[key] == record[key] for key in ("type", "content")):
                raise Refused(400, 81058, "An identical record already exists.")
            kinds = {other["type"], record["type"]}
            if "CNAME" in kinds and kinds <= ADDRESSES:
                raise Refused(
                    400, 81053, "An A, AAAA, or CNAME record with that host already exists."
                )

    def _publish(self, *changed: Record) -> None:
        for name in {record["name"] for record in changed}:
            types = {"A", *(record["type"] for record in changed)}
            here = [r for r in self.records.values() if r["name"] == name and r["type"] in types]
            hidden = [r for r in self.records.values() if r["name"] == name and r["proxied"]]
            self.dns.set(name, types, {_published(record) for record in [*here, *hidden]})


def _settable(body: Any) -> Record:
    return {key: body[key] for key in SETTABLE if body.get(key) is not None}


def _absolute(name: str, zone: str) -> str:
    name = name.rstrip(".").lower()
    if name == "@":
        return zone
    return name if name == zone or name.endswith(f".{zone}") else f"{name}.{zone}"


def _published(record: Record) -> tuple[str, int, str]:
    """Type, TTL and data as the world sees them."""
    kind, data = record["type"], record["content"]
    ttl = 300 if record["ttl"] == 1 else record["ttl"]
    if record["proxied"] and kind in ADDRESSES:
        return "A", ttl, EDGE
    if kind == "MX":
        data = f"{record.get('priority', 10)} {data}"
    if kind == "TXT":
        return kind, ttl, '"{}"'.format(data.strip('"'))
    return kind, ttl, f"{data.rstrip('.')}." if kind in {"CNAME", "MX", "NS"} else data


def _page(found: list[Any], query: dict[str, str]) -> Answer:
    size, page = int(query.get("per_page", 100)), int(query.get("page", 1))
    shown = found[(page - 1) * size : page * size]
    pages = max(1, -(-len(found) // size))
    numbers = {"page": page, "per_page": size, "count": len(shown)}
    return shown, numbers | {"total_count": len(found), "total_pages": pages}


@contextmanager
def cloudflare(folder: Path, token: str) -> Iterator[Cloudflare]:
    """An account with the zone :data:`ZONE`, in ``folder``, until the end of the block."""
    with knot(folder / "knot", ZONE) as server:
        account = Cloudflare(server, token, folder)
        http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(account))
        http.daemon_threads = True
        http.socket = _tls(folder).wrap_socket(http.socket, server_side=True)
        account.port = int(http.server_address[1])
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield account
        finally:
            http.shutdown()
            thread.join()
            http.server_close()


def _tls(folder: Path) -> ssl.SSLContext:
    served = issue(ROOT, sans=("127.0.0.1", "localhost"))
    pem = folder / "api.pem"
    pem.write_bytes(served.pem + private(served))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def _handler(account: Cloudflare) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else {}
            status, errors, result, numbers = 200, [], None, None
            try:
                result, numbers = account.answer(
                    self.command, self.path, self.headers.get("Authorization"), body
                )
            except Refused as error:
                status, errors = error.status, [{"code": error.code, "message": error.message}]
            said: dict[str, Any] = {"result": result, "success": not errors, "errors": errors}
            said |= {"messages": []} | ({"result_info": numbers} if numbers else {})
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler
