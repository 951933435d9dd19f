"""A hub's whole life on the command line: a real BinderHub, real sops, terraform and TLS."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import sys
import urllib.parse
from pathlib import Path

import pytest

from tests.canary import holding, processes_holding
from tests.processes import ended

from .conftest import Cli


def _page(url: str, ca_file: Path) -> str:
    """What a visitor's browser gets, with the name of the URL and nothing else trusted."""
    parts = urllib.parse.urlsplit(url)
    context = ssl.create_default_context(cafile=str(ca_file))
    with (
        socket.create_connection(("127.0.0.1", parts.port or 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as tls,
    ):
        tls.sendall(f"GET / HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        return b"".join(iter(lambda: tls.recv(65536), b"")).decode()


@pytest.mark.timeout(300)
def test_a_hub_is_spawned_verified_and_torn_down(cli: Cli, tmp_path: Path) -> None:
    # spawn: one line on stdout, and a hub behind it
    spawned = cli("spawn", "--name", "demo", "--recipe", "local", timeout=200)
    assert spawned.code == 0, spawned
    endpoint = spawned.out.strip()
    assert re.fullmatch(r"https://demo\.localhost:\d+", endpoint), spawned
    for said in ("vault", "provider", "dns", "binderhub", "verify", "builds are faked", "teardown"):
        assert said in spawned.err, spawned
    instance = cli.instance("demo")
    assert "<title>Binder" in _page(endpoint, instance / "hub" / "ca.pem")

    # its generated secrets are in the vault, encrypted, and nowhere else
    revealed = cli("vault.show", "--name", "demo", "--reveal", "--json")
    leaves = json.loads(revealed.out)
    token, key = leaves["variables.hub_token"], leaves["variables.tls_key"]
    ca_key = leaves["ca.key"]
    secrets = [token, leaves["variables.cookie_secret"]]
    secrets += [text.splitlines()[1] for text in (key, ca_key)]
    for secret in secrets:
        assert holding(secret, tmp_path, Path(os.environ["XDG_RUNTIME_DIR"])) == []
        assert secret not in spawned.out + spawned.err
        if sys.platform == "linux":
            assert processes_holding(secret) == []

    # a second run changes nothing, says so, and is quick to say it
    again = cli("spawn", "--name", "demo")
    assert (again.code, again.out) == (0, spawned.out), again
    assert "nothing to change" in again.err

    # verify, for people and for programs, with and without the instance
    verified = cli("verify", "--name", "demo")
    assert verified.code == 0, verified
    assert "builds are faked" in verified.err
    document = json.loads(cli("verify", "--json").out)
    assert (document["schema_version"], document["verdict"]) == (1, "pass")
    assert {f["id"] for f in document["findings"]} >= {"net.connect", "binder.legacy"}
    plain = cli("verify", "--url", endpoint, "--ca-file", str(instance / "hub" / "ca.pem"))
    assert plain.code == 0, plain
    untrusted = cli("verify", "--url", endpoint)
    assert untrusted.code == 6, untrusted
    assert "tls." in untrusted.err

    # list
    (row,) = json.loads(cli("list", "--json").out)
    assert (row["name"], row["state"], row["endpoint"]) == ("demo", "up", endpoint)

    # the hub is killed: verify sees it, spawn starts it again where it was
    pid = json.loads((instance / "hub" / "process.json").read_text())["pid"]
    os.kill(pid, 9)
    dead = cli("verify", "--name", "demo")
    assert dead.code == 8, dead
    assert "net.connect" in dead.err
    back = cli("spawn", "--name", "demo")
    assert (back.code, back.out) == (0, spawned.out), back
    pid = json.loads((instance / "hub" / "process.json").read_text())["pid"]

    # teardown asks for the name, and without a terminal it says how to go on
    asked = cli("teardown", "--name", "demo")
    assert asked.code == 1, asked
    assert "invoke teardown --name demo --yes" in asked.err
    gone = cli("teardown", "--name", "demo", "--yes")
    assert gone.code == 0, gone
    assert sorted(path.name for path in instance.iterdir()) == ["journal.jsonl", "main.tf"]
    assert ended(pid, seconds=5)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(
            ("127.0.0.1", urllib.parse.urlsplit(endpoint).port or 0), timeout=5
        )
    assert list(Path(os.environ["XDG_RUNTIME_DIR"]).rglob("*.tfstate")) == []
    assert [path for secret in secrets for path in holding(secret, cli.root)] == []
    (row,) = json.loads(cli("list", "--json").out)
    assert (row["state"], row["endpoint"]) == ("gone", None)
