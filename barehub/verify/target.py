"""What is verified: one hub's address, and how to get to it."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import ssl
import urllib.parse
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from barehub import system_errors
from barehub.errors import UsageError

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_PATH_SAFE = "/%:@!$&'()*+,;=~"


@dataclass(frozen=True)
class Target:
    """An endpoint.

    ``host`` is an address or a name in its ASCII form (IDNA 2008), ``base_path`` begins and ends
    with a slash. ``connect_to`` is the machine to connect to in place of what ``host`` resolves to
    (``host`` still is the name that TLS and HTTP ask for). With ``ca_file`` only its certificates
    are trusted, not the system's. ``builds`` is ``"fake"`` for a hub that builds nothing. ``hub``
    is where its JupyterHub is, a path (``/jupyter/``) or a URL; ``version`` the BinderHub that it
    is meant to be; ``resolver`` the DNS server to ask instead of the system's; ``plain_port`` where
    plain HTTP is looked for; ``only`` the one vantage to look from.
    """

    host: str
    port: int
    base_path: str = "/"
    connect_to: tuple[str, int] | None = None
    ca_file: Path | None = None
    builds: str | None = None
    hub: str | None = None
    version: str | None = None
    resolver: tuple[str, int] | None = None
    plain_port: int = 80
    only: str | None = None

    @property
    def authority(self) -> str:
        """Host and port as a URL and the ``Host`` header have them (RFC 9110, 7.2)."""
        return join(self.host, self.port).removesuffix(":443")

    @property
    def url(self) -> str:
        return f"https://{self.authority}{self.base_path}"

    @property
    def vantages(self) -> tuple[str, ...]:
        """``edge``: where its name leads; ``origin``: straight to a given machine.

        A name that is this machine's own leads nowhere else.
        """
        if self.only:
            return (self.only,)
        if self.connect_to is None:
            return ("edge",)
        return ("origin",) if is_local(self.host) or is_address(self.host) else ("edge", "origin")

    def at(self, vantage: str) -> Target:
        """The target as seen from there alone."""
        connect_to = self.connect_to if vantage == "origin" else None
        return dataclasses.replace(self, only=vantage, connect_to=connect_to)


def parse(url: str, *, connect_to: str | None = None, ca_file: str | None = None) -> Target:
    """The target that a person means by ``url`` and ``connect_to`` (``HOST:PORT`` or ``HOST``).

    :raises UsageError: no https:// address of a hub, or ``ca_file`` holds no certificate.
    """
    parts, port = _split(url)
    host = _host(parts.hostname or "", url)
    path = urllib.parse.quote(parts.path, safe=_PATH_SAFE).rstrip("/") + "/"
    return Target(
        host,
        port,
        path,
        connect_to=machine(connect_to, port, "--connect-to") if connect_to else None,
        ca_file=_ca_file(ca_file) if ca_file else None,
    )


def join(host: str, port: int) -> str:
    """``host:port``, with the brackets that an IPv6 address needs (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(url: str) -> tuple[urllib.parse.SplitResult, int]:
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"the address cannot be read: {str(error).lower()}", _HINT) from None
    if "@" in (parts.netloc or url):
        raise UsageError("the address has a user name or a password in it", _HINT)
    if _UNPRINTABLE.search(url):
        raise UsageError("the address has a blank or a control character in it", _HINT)
    if parts.scheme == "http":
        secure = urllib.parse.urlunsplit(parts._replace(scheme="https"))
        raise UsageError("a hub is verified over https, not http", f"--url {secure}")
    if parts.scheme != "https" or not parts.netloc:
        raise UsageError(f"{url!r} is not an https:// address", _HINT)
    if parts.query or parts.fragment:
        raise UsageError("the address has a query or a fragment: give the hub's own", _HINT)
    if port == 0:
        raise UsageError("port 0 is not a port", _HINT)
    return parts, port or 443


_HINT = "--url https://hub.example.org"


def _host(name: str, url: str) -> str:
    """``name`` as DNS and certificates have it.

    Python's own codec is IDNA 2003, browsers and certificate authorities use IDNA 2008 with the
    mapping of UTS 46; they differ, for example, on "ß".
    """
    if is_address(name):
        return str(ipaddress.ip_address(name))
    if not name.isascii():
        import idna

        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError as error:
            raise UsageError(f"{name!r} is not a host name: {error}", _HINT) from None
    name = name.lower().removesuffix(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise UsageError(f"{url!r} has no valid host name", _HINT)
    return name


def is_address(host: str) -> bool:
    """Whether ``host`` is an IPv4 or IPv6 address rather than a name."""
    try:
        return not getattr(ipaddress.ip_address(host), "scope_id", None)
    except ValueError:
        return False


def is_local(host: str) -> bool:
    """Whether ``host`` is this machine, whatever DNS says (RFC 6761, 6.3)."""
    return host == "localhost" or host.endswith(".localhost")


def machine(text: str, port: int, option: str) -> tuple[str, int]:
    """The host and port that ``text`` names; ``port`` if it names none.

    :raises UsageError: it names no host.
    """
    if is_address(text):
        return str(ipaddress.ip_address(text)), port
    try:
        parts = urllib.parse.urlsplit(f"//{text}")
        found = parts.port
    except ValueError:
        parts, found = urllib.parse.urlsplit(""), 0
    wrong = UsageError(f"{text!r} is not a host and a port", f"{option} HOST:PORT")
    if not parts.hostname or parts.netloc != text or "@" in text or found == 0:
        raise wrong
    try:
        return _host(parts.hostname, text), found or port
    except UsageError:
        raise wrong from None


def _ca_file(name: str) -> Path:
    path = Path(name).expanduser()
    hint = "--ca-file takes a PEM file with the authority's certificate"
    if not path.is_file():
        raise UsageError(f"there is no CA file {name}", hint)
    try:
        _load(path)
    except ssl.SSLError:
        raise UsageError(f"the CA file {name} holds no certificate", hint) from None
    except OSError as error:
        shown = f"the CA file {name}"
        raise system_errors.cannot("read", path, error, shown=shown) from None
    return path


@lru_cache
def _load(ca_file: Path) -> None:
    """Once, however many endpoints there are: it takes longer than a handshake."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
