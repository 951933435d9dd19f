"""HTTP to a cloud's interface: whom to trust, how long to wait, how to tell a failure."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barehub.errors import CloudError

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS, ANSWER_SECONDS = 10, 40
"""How long a connection, and then an answer, may take: neutron with many ports needs ten."""

LONGEST = 300
"""Characters of a cloud's own words that are told."""

Environment = Mapping[str, str]


class Refused(CloudError):
    """The credentials are wrong, or not in force any more."""


def session() -> requests.Session:
    """A session with bounded waits that takes proxies from this process, and no ``.netrc``."""
    from urllib.request import getproxies

    import requests
    from requests.adapters import HTTPAdapter

    class Bounded(HTTPAdapter):
        def send(self, *args: Any, **options: Any) -> requests.Response:
            options["timeout"] = (CONNECT_SECONDS, ANSWER_SECONDS)
            return super().send(*args, **options)

    made = requests.Session()
    proxies = getproxies()
    made.trust_env = False
    made.proxies.update({k: v for k, v in proxies.items() if k != "no"})
    if passed_by := proxies.get("no"):
        made.proxies["no_proxy"] = passed_by
    for scheme in ("https://", "http://"):
        made.mount(scheme, Bounded())
    return made


def trusted(env: Environment, own: str = "") -> str | bool:
    """The file of CA certificates to trust: ``own`` (a path, or PEM), else what Go would take.

    That is ``SSL_CERT_FILE`` and then the system's, so that a cloud is trusted when Terraform
    trusts it (https://pkg.go.dev/crypto/x509#SystemCertPool).
    """
    if own.lstrip().startswith("-----BEGIN"):
        return _written(own)
    system = ssl.get_default_verify_paths().cafile
    for file in (own, env.get("SSL_CERT_FILE", ""), system or ""):
        if file:
            return str(Path(file).expanduser())
    return True


def _written(pem: str) -> str:
    """A certificate, which is public, as a file for as long as this process lives."""
    import atexit

    fd, name = tempfile.mkstemp(suffix=".pem", prefix="barehub-ca-")
    with os.fdopen(fd, "w") as file:
        file.write(pem)
    atexit.register(Path(name).unlink, missing_ok=True)
    return name


def unreachable(cloud: str, place: str, error: Exception, hint: str = "") -> CloudError:
    """What to tell of a connection that failed; ``place`` is the vault's key of its address."""
    return CloudError(
        f"{cloud} does not answer at {place}: {_reason(error)}",
        hint or f"invoke vault.show   (is {place} right, and can this machine reach it?)",
    )


def _reason(error: Exception) -> str:
    """The reason in a few words; never the exception's text, which may hold all of a request."""
    said = str(error).lower()
    known: Mapping[str, str] = {
        "certificate verify failed": "its certificate is not trusted",
        "invalid path": "the CA file does not exist",
        "could not find a suitable tls": "the CA file does not exist",
        "connection refused": "connection refused",
        "name or service not known": "its name is unknown",
        "nodename nor servname": "its name is unknown",
        "name resolution": "its name cannot be resolved",
        "no route to host": "no route to host",
        "unreachable": "the network is unreachable",
        "timed out": "no answer in time",
        "timeout": "no answer in time",
        "ssl": "TLS fails",
        "reset by peer": "the connection was cut",
        "remote end closed": "the connection was cut",
    }
    return next((told for words, told in known.items() if words in said), type(error).__name__)


def shortened(text: object) -> str:
    """A cloud's own words, on one line."""
    words = " ".join(str(text).split())
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def paged(fetch: Callable[[int], tuple[list[Any], int]]) -> list[Any]:
    """The items of all pages; ``fetch`` gives those of one, from 1 on, and their number."""
    items, pages = fetch(1)
    for number in range(2, pages + 1):
        items += fetch(number)[0]
    return items
