"""Key services on loopback: AWS KMS and a transit engine of HashiCorp Vault, as far as sops asks.

AWS itself cannot be had by a test, and moto, which plays it, weighs 300 MB with what it needs. This
speaks the same protocol (https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html):
a ciphertext opens under the key, and with the context, that it was made with, and no other. Whether
a signature is right is not looked at, only whose it is.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from barehub.vault import authority

ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER = ARN.replace("1234abcd", "deadbeef")

CALLER, SECRET = "AKIAIOSFODNN7EXAMPLE", "CANARY/aws/secret/5e1f"
TOKEN = "CANARY-hvs-5e1f"


class KeyService(ThreadingHTTPServer):
    """``heard`` has what was asked, ``allowed`` who may, ``keys`` which keys there are."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.allowed = {CALLER, TOKEN}
        self.keys: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), Answer)

    def key(self, id: str) -> None:
        """Make the key ``id``."""
        self.keys[id] = secrets.token_bytes(32)

    def encrypt(self, id: str, plain: bytes, about: str = "") -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + AESGCM(self.keys[id]).encrypt(nonce, plain, about.encode())

    def decrypt(self, id: str, sealed: bytes, about: str = "") -> bytes:
        return AESGCM(self.keys[id]).decrypt(sealed[:12], sealed[12:], about.encode())


class Answer(BaseHTTPRequestHandler):
    server: KeyService
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """AWS: the operation is in a header; to STS, in a form."""
        if "X-Amz-Target" not in self.headers:
            self._let_in(dict(parse_qsl(self._body().decode())))
            return
        asked = json.loads(self._body())
        operation = self.headers["X-Amz-Target"].removeprefix("TrentService.")
        self.server.heard.append((operation, asked["KeyId"]))
        by = re.search(r"Credential=(\w+)/", self.headers.get("Authorization", ""))
        if by is None or by[1] not in self.server.allowed:
            self._say(400, {"__type": "AccessDeniedException", "message": "words of theirs"})
        elif asked["KeyId"] not in self.server.keys:
            self._say(400, {"__type": "NotFoundException", "message": "no such key"})
        else:
            self._do_aws(operation, asked)

    def _let_in(self, asked: dict[str, str]) -> None:
        """A token for credentials, which only they are allowed that have such a token."""
        self.server.heard.append((asked["Action"], asked["RoleArn"]))
        if asked["WebIdentityToken"] not in self.server.allowed:
            self._say(400, {"__type": "InvalidIdentityTokenException"})
            return
        self._say_xml(
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>{CALLER}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
            "<SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )

    def _do_aws(self, operation: str, asked: dict[str, Any]) -> None:
        id, about = asked["KeyId"], json.dumps(asked.get("EncryptionContext") or {})
        if operation == "Encrypt":
            sealed = self.server.encrypt(id, base64.b64decode(asked["Plaintext"]), about)
            self._say(200, {"KeyId": id, "CiphertextBlob": base64.b64encode(sealed).decode()})
            return
        try:
            plain = self.server.decrypt(id, base64.b64decode(asked["CiphertextBlob"]), about)
        except InvalidTag:
            self._say(400, {"__type": "InvalidCiphertextException"})
            return
        self._say(200, {"KeyId": id, "Plaintext": base64.b64encode(plain).decode()})

    def do_PUT(self) -> None:
        """HashiCorp Vault: /v1/ENGINE/encrypt/KEY."""
        asked = json.loads(self._body())
        _, operation, id = self.path.removeprefix("/v1/").rsplit("/", 2)
        self.server.heard.append((operation, id))
        if self.headers.get("X-Vault-Token") not in self.server.allowed:
            self._say(403, {"errors": ["permission denied"]})
        elif operation == "encrypt":
            sealed = self.server.encrypt(id, base64.b64decode(asked["plaintext"]))
            said = f"vault:v1:{base64.b64encode(sealed).decode()}"
            self._say(200, {"data": {"ciphertext": said}})
        else:
            sealed = base64.b64decode(asked["ciphertext"].removeprefix("vault:v1:"))
            plain = base64.b64encode(self.server.decrypt(id, sealed)).decode()
            self._say(200, {"data": {"plaintext": plain}})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _say(self, code: int, said: dict[str, Any]) -> None:
        self._send(code, "application/x-amz-json-1.1", json.dumps(said).encode())

    def _say_xml(self, said: str) -> None:
        self._send(200, "text/xml", said.encode())

    def _send(self, code: int, form: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", form)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[KeyService]:
    """A key service; with TLS when there is a ``certificate`` (and its key) to serve with."""
    server = KeyService()
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost with its key, and that of the authority that made it."""
    root, key = authority.create()
    chain, own = authority.issue(root, key, "localhost")
    (folder / "served.pem").write_text(chain + own)
    (folder / "authority.pem").write_text(root)
    return folder / "served.pem", folder / "authority.pem"
