"""Who has the lock of an ``http`` backend: its server says so to whoever asks for the lock.

Terraform is told, too, and shows the one who asks instead
(https://developer.hashicorp.com/terraform/language/backend/http).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from barehub.lock import Holder

SECONDS = 10.0
HELD = (409, 423)
"""How a server says that somebody has it."""


def holder(arguments: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """Who has it and since when, in words; empty where the server does not say, or nobody has it.

    :param arguments: the backend's
    :param env: with what it takes from the environment
    """
    import requests

    def told(name: str, default: str = "") -> str:
        return str(arguments.get(name) or env.get(f"TF_HTTP_{name.upper()}") or default)

    if told("client_certificate_pem") or told("client_ca_certificate_pem"):
        return ""
    me = Holder.me("unlock")
    wish = {
        "ID": str(uuid.uuid4()),
        "Operation": "barehub asks who has it",
        "Info": json.dumps(asdict(me)),
        "Who": me.person,
        "Version": "",
        "Created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "Path": "",
    }
    with requests.Session() as session:
        session.trust_env = False  # as a proxy or a .netrc is none of Terraform's login
        session.verify = not arguments.get("skip_cert_verification")
        if told("username"):
            session.auth = (told("username"), told("password"))
        try:
            said = session.request(
                told("lock_method", "LOCK"), told("lock_address"), json=wish, timeout=SECONDS
            )
            if said.ok:  # it has just been let go, and we must not have it
                method, address = told("unlock_method", "UNLOCK"), told("unlock_address")
                session.request(method, address, json=wish, timeout=SECONDS)
                return ""
            lock = said.json() if said.status_code in HELD else {}
            since = str(lock.get("Created", "")).replace("T", " ")[:19]
            return f"{lock['Who']}, since {since} UTC" if since else str(lock["Who"])
        except (requests.RequestException, ValueError, KeyError, AttributeError):
            return ""
