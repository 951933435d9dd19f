"""A recipe's own backend: the state is where a team shares it, in a database or an object store.

The block is used as it stands. What the backend needs to log in comes from the vault's
``environment``: Terraform writes what stands in the block into ``.terraform`` and into every plan,
and what it finds in the environment into neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from barehub import reading
from barehub.errors import BarehubError, RecipeError, TerraformError, UsageError
from barehub.project import Instance
from barehub.terraform import http_lock
from barehub.terraform.encryption import unreadable
from barehub.terraform.events import Diagnostic
from barehub.terraform.hcl import parse

SECRETS: Mapping[str, Mapping[str, str]] = {
    "azurerm": {
        "access_key": "ARM_ACCESS_KEY",
        "client_certificate_password": "ARM_CLIENT_CERTIFICATE_PASSWORD",
        "client_secret": "ARM_CLIENT_SECRET",
        "sas_token": "ARM_SAS_TOKEN",
    },
    "consul": {"access_token": "CONSUL_HTTP_TOKEN", "http_auth": "CONSUL_HTTP_AUTH"},
    "gcs": {
        "access_token": "GOOGLE_OAUTH_ACCESS_TOKEN",
        "credentials": "GOOGLE_CREDENTIALS",
        "encryption_key": "GOOGLE_ENCRYPTION_KEY",
    },
    "http": {
        "client_private_key_pem": "TF_HTTP_CLIENT_PRIVATE_KEY_PEM",
        "password": "TF_HTTP_PASSWORD",
    },
    "kubernetes": {
        "client_key": "KUBE_CLIENT_KEY_DATA",
        "password": "KUBE_PASSWORD",
        "token": "KUBE_TOKEN",
    },
    "pg": {},
    "s3": {
        "access_key": "AWS_ACCESS_KEY_ID",
        "secret_key": "AWS_SECRET_ACCESS_KEY",
        "sse_customer_key": "AWS_SSE_CUSTOMER_KEY",
        "token": "AWS_SESSION_TOKEN",
    },
}
"""The backends that barehub runs; of each the arguments that are secrets, and the variable that it
reads instead (https://developer.hashicorp.com/terraform/language/backend)."""

PLACES = {
    "address": "TF_HTTP_ADDRESS",
    "conn_str": "PG_CONN_STR",
    "lock_address": "TF_HTTP_LOCK_ADDRESS",
    "unlock_address": "TF_HTTP_UNLOCK_ADDRESS",
}
"""Arguments that may hold a password, and the variable that the backend reads instead."""

LOGIN = {
    "azurerm": "ARM_ACCESS_KEY",
    "consul": "CONSUL_HTTP_TOKEN",
    "gcs": "GOOGLE_CREDENTIALS",
    "http": "TF_HTTP_PASSWORD",
    "kubernetes": "KUBE_TOKEN",
    "pg": "PG_CONN_STR",
    "s3": "AWS_SECRET_ACCESS_KEY",
}

OWN_INFO = ("http", "pg")
"""Backends whose errors show who asks for the lock as if that were who has it."""

HOLDER = (
    'psql "$PG_CONN_STR" -c "select pid, client_addr, backend_start from pg_locks '
    "join pg_stat_activity using (pid) where locktype = 'advisory'\"   # who has it"
)

CUT_OFF = 'psql "$PG_CONN_STR" -c "select pg_terminate_backend(PID)"   # if it is dead'

LOCKED = "Error acquiring the state lock"
STALE = "Saved plan is stale"
_PASSWORD = re.compile(r"://[^/\s:@]*:[^@/\s]+@|\bpassword\s*=")


def check(instance: Instance) -> None:
    """See that the backend is one that can be used as it stands.

    :raises RecipeError: it is not, or a secret stands in it.
    """
    found = dict(_blocks(instance.folder))
    if set(found) - {instance.backend}:
        raise RecipeError(
            f"instances/{instance.name}: the backend blocks cannot be told apart",
            'write one, with a line of its own for: backend "pg" {',
        )
    for kind, (file, arguments) in found.items():
        shown = f"instances/{instance.name}/{file}"
        if kind not in SECRETS:
            raise RecipeError(
                f"{shown} has a backend {kind!r}, which barehub does not run",
                f"take it out: barehub seals the state; or use one of {', '.join(SECRETS)}",
            )
        for argument, value in arguments.items():
            if variable := _secret(kind, argument, value):
                raise RecipeError(
                    f"{shown} has a secret in {argument} of its backend: terraform would write it "
                    "into .terraform and into every plan",
                    f"invoke vault.set environment.{variable} --name {instance.name}",
                    f"then take {argument} out of {shown}",
                )


def _blocks(folder: Path) -> list[tuple[str, tuple[str, dict[str, Any]]]]:
    """The backends of the recipe's files: kind, file and arguments."""
    found: list[tuple[str, tuple[str, dict[str, Any]]]] = []
    for path in reading.below(folder, "*.tf"):
        if not re.search(r"\b(backend|cloud)\b", reading.lenient(path, RecipeError)):
            continue
        for block in parse(path).get("terraform", []):
            found += [("cloud", (path.name, {})) for _ in block.get("cloud", [])]
            for backend in block.get("backend", []):
                found += [(kind, (path.name, body)) for kind, body in backend.items()]
    return found


def _secret(kind: str, argument: str, value: Any) -> str:
    """The variable that ``argument`` should come from; empty where it holds no secret."""
    if argument in PLACES:
        return PLACES[argument] if _PASSWORD.search(str(value)) else ""
    if argument == "credentials" and "{" not in str(value):  # the path of a file
        return ""
    return SECRETS[kind].get(argument, "")


def initialized(folder: Path) -> tuple[str, dict[str, Any]]:
    """The backend in which Terraform has the state of a recipe's ``folder``: kind and arguments."""
    path = folder / ".terraform" / "terraform.tfstate"
    record = reading.parsed(reading.content(path, TerraformError), TerraformError, str(path))
    try:
        found = record["backend"]
        return found["type"], {k: v for k, v in found["config"].items() if v not in (None, [], {})}
    except (KeyError, TypeError, AttributeError):
        raise TerraformError(f"{path} names no backend", f"rm {path}") from None


def refused(
    kind: str, folder: Path, env: Mapping[str, str], error: Diagnostic
) -> BarehubError | None:
    """The words for what only happens where others use the same state; nothing for the rest."""
    again = f"invoke spawn --name {folder.name}"
    if error.summary == STALE:
        return TerraformError(
            f"somebody changed the state of {folder.name} after this was planned; "
            "nothing was applied",
            f"{again}   plans anew",
        )
    if error.summary == LOCKED:
        return locked(kind, folder, env, error.detail)
    return None


def locked(kind: str, folder: Path, env: Mapping[str, str], said: str) -> UsageError:
    """That somebody else has the state; who, only where the backend knows."""
    name, who = folder.name, holder(kind, folder, env, said)
    return UsageError(
        f"another command has the state of {name} in {kind}"
        + (f": {who}" if who else "; this backend does not tell whose"),
        f"invoke spawn --name {name} --wait",
        HOLDER if kind == "pg" else f"if that is dead: invoke unlock --name {name}",
    )


def holder(kind: str, folder: Path, env: Mapping[str, str], said: str) -> str:
    """Who has the lock of the state, and since when, if that can be told: by Terraform, which
    ``said`` who it is, or by the backend itself."""
    if kind == "http":
        return http_lock.holder(initialized(folder)[1], env)
    who, since = re.search(r"Who:\s+(\S+)", said), re.search(r"Created:\s+(\S+ \S+)", said)
    if kind in OWN_INFO or not who:
        return ""
    return who[1] + (f", since {since[1]}" if since else "")


def unreachable(kind: str, name: str, said: str) -> TerraformError | None:
    """The words for a backend that does not answer ``terraform init``, or refuses us."""
    if "Backend configuration changed" in said or "Unsetting the previously set" in said:
        return TerraformError(
            f"the backend of {name} is not the one that its state is in",
            f"put the old block back, then: invoke state.migrate --name {name} --back",
            "if there is nothing in it, or it is the same and Terraform follows upon OpenTofu: "
            f"rm instances/{name}/.terraform/terraform.tfstate",
        )
    if told := unreadable(kind, name, said):
        return told
    error = said.partition("Error:")[2]
    if not kind or re.search("module|provider|plugin", error):
        return None
    return TerraformError(
        f"the backend {kind} of {name} does not answer, or refuses us",
        f"invoke vault.set environment.{LOGIN[kind]} --name {name}   # if that is not right",
    )
