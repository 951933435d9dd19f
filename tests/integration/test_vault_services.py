"""That sops asks nobody whom a secrets file names: a listener on loopback would hear it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from vaults import again, fresh

from barehub.errors import VaultError
from barehub.vault.store import Vault


class Listener(ThreadingHTTPServer):
    """Any key service's address; ``heard`` has the paths that it was asked for."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        super().__init__(("127.0.0.1", 0), Heard)

    @property
    def entry(self) -> dict[str, str]:
        """How a file names it: a transit engine of HashiCorp Vault."""
        return {
            "vault_address": f"http://127.0.0.1:{self.server_port}",
            "engine_path": "transit",
            "key_name": "k",
            "created_at": "2026-01-01T00:00:00Z",
            "enc": "vault:v1:AAAA",
        }


class Heard(BaseHTTPRequestHandler):
    server: Listener

    def do_PUT(self) -> None:
        self.server.heard.append(self.path)
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def vault(
    own_home: Path, tmp_path: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Vault:
    return fresh(tmp_path, runtime_dir, monkeypatch)


def state(vault: Vault) -> Path:
    return vault.root / "instances/demo/terraform.tfstate.sops"


def for_nobody(text: str) -> str:
    """With another data key's block, so that sops goes on to the next who could know it."""
    return re.sub(r"(-----BEGIN AGE ENCRYPTED FILE-----(?:\\n|\n\s+))\w{4}", r"\1AAAA", text)


def merged(tree: dict[str, Any], **fields: Any) -> str:
    return json.dumps({**tree, "sops": {**tree["sops"], **fields}})


JSON: dict[str, Callable[[dict[str, Any], list[Any]], str]] = {
    "as it is": lambda tree, them: merged(tree, hc_vault=them),
    "another case": lambda tree, them: merged(tree, HC_Vault=them),
    "letters that fold": lambda tree, them: json.dumps(
        {**tree, "\u017fop\u017f": {"hc_vault": them}}
    ),
    "another block": lambda tree, them: json.dumps({**tree, "SOPS": {"hc_vault": them}}),
    "the same block twice": lambda tree, them: (
        f'{{"sops": {json.dumps({"hc_vault": them})}, {json.dumps(tree)[1:]}'
    ),
    "a group of keys": lambda tree, them: merged(tree, age=[], key_groups=[{"hc_vault": them}]),
}


@pytest.mark.parametrize("way", JSON)
def test_a_sealed_state_leads_to_nobody(vault: Vault, listener: Listener, way: str) -> None:
    vault.seal(b"{}", state(vault))
    tree = json.loads(for_nobody(state(vault).read_text()))
    state(vault).write_text(JSON[way](tree, [listener.entry]))
    with pytest.raises(VaultError):
        again(vault).unseal(state(vault))
    assert listener.heard == []


YAML: dict[str, Callable[[str, str], str]] = {
    "as it is": lambda text, them: text.replace("sops:\n", f"sops:\n    hc_vault: [{them}]\n"),
    "a merge key": lambda text, them: (
        f"a: &a {{hc_vault: [{them}]}}\n" + text.replace("sops:\n", "sops:\n    <<: *a\n")
    ),
    "a merge key in place": lambda text, them: text.replace(
        "sops:\n", f"sops:\n    <<: {{hc_vault: [{them}]}}\n"
    ),
    "a merge key above": lambda text, them: f"<<: {{sops: {{hc_vault: [{them}]}}}}\n{text}",
    "an alias": lambda text, them: (
        f"a: &a [{them}]\n" + text.replace("sops:\n", "sops:\n    hc_vault: *a\n")
    ),
    "a second document": lambda text, them: f"sops: {{hc_vault: [{them}]}}\n---\n{text}",
}


@pytest.mark.parametrize("way", YAML)
def test_a_secrets_file_leads_to_nobody(vault: Vault, listener: Listener, way: str) -> None:
    file = vault.file(None)
    file.write_text(YAML[way](for_nobody(file.read_text()), json.dumps(listener.entry)))
    with pytest.raises(VaultError):
        again(vault).read(None)
    with pytest.raises(VaultError):
        again(vault).update(file, {"variables.a": "x"})
    assert listener.heard == []


def test_sops_itself_would_ask(vault: Vault, listener: Listener) -> None:
    """Else the tests above would show nothing."""
    from barehub import process
    from barehub.vault.sops import binary

    vault.seal(b"{}", state(vault))
    tree = json.loads(for_nobody(state(vault).read_text()))
    for number, way in enumerate(("as it is", "another case", "letters that fold"), 1):
        content = JSON[way](tree, [listener.entry]).encode()
        argv = [binary(), "decrypt", "--input-type", "binary"]
        done = process.run(argv, input=content, env={"HOME": str(vault.scratch)})
        assert done.code and len(listener.heard) == number, (way, done)
