"""OpenTofu's own encryption of a state that is in a backend: who reads the backend reads nothing.

https://opentofu.org/docs/language/state/encryption/
"""

from __future__ import annotations

import re
import secrets as randomness
from collections.abc import Mapping
from pathlib import Path

from barehub import process, reading
from barehub.errors import RecipeError, TerraformError
from barehub.project import Tool
from barehub.terraform.hcl import parse
from barehub.terraform.state import parse as parse_state

VARIABLE = "TF_ENCRYPTION"
"""The environment variable that OpenTofu reads its configuration from, and Terraform ignores."""

# The passphrase has 256 bits of its own, so the derivation need not be slow: the fewest iterations
# that OpenTofu takes. A state from before the encryption is read, and written encrypted.
_CONFIGURATION = """\
key_provider "pbkdf2" "barehub" {{
  passphrase = "{passphrase}"
  iterations = 200000
}}
method "aes_gcm" "barehub" {{
  keys = key_provider.pbkdf2.barehub
}}
method "unencrypted" "before" {{}}
state {{
  method = method.aes_gcm.barehub
  fallback {{
    method = method.unencrypted.before
  }}
}}
plan {{
  method = method.aes_gcm.barehub
}}
"""


def make() -> str:
    """A configuration with a new key, for :data:`VARIABLE`."""
    return _CONFIGURATION.format(passphrase=randomness.token_hex(32))


def passphrases(configuration: str) -> list[str]:
    """The secrets in a configuration, which stands in no output as a whole."""
    return re.findall(r'passphrase"?\s*[=:]\s*"([^"]+)"', configuration)


def encrypted(state: bytes) -> bool:
    """Whether OpenTofu has encrypted a state."""
    return "encrypted_data" in (parse_state(state) or {})


def decrypted(tool: Tool, state: bytes, folder: Path, env: Mapping[str, str]) -> bytes:
    """An encrypted state in clear, which OpenTofu tells of a state that stands in a ``folder``.

    :raises TerraformError: the key is not in ``env``.
    """
    folder.mkdir(exist_ok=True)
    (folder / "terraform.tfstate").write_bytes(state)
    done = process.run([tool.path, "state", "pull"], env=env, cwd=folder)
    if done.code:
        raise TerraformError(
            "what the backend did not take is encrypted, and not with the key of the vault",
            f"environment.{VARIABLE} of the vault must be what it was",
        )
    return done.stdout


def written(folder: Path) -> bool:
    """Whether the recipe in ``folder`` has an encryption of its own."""
    paths = reading.below(folder, "*.tf", "*.tofu")
    texts = (path for path in paths if "encryption" in reading.lenient(path, RecipeError))
    blocks = (block for path in texts for block in parse(path).get("terraform", []))
    return any("encryption" in block for block in blocks)


def unreadable(kind: str, name: str, said: str) -> TerraformError | None:
    """The words for a state that is encrypted, and not with our key."""
    if "decryption failed for all provided methods" in said:
        what = "with another key than the vault's"
    elif "encrypted and can not be read without" in said or (
        'does not have a "version" attribute' in said
    ):
        what = "by OpenTofu, and there is no OpenTofu here that has its key"
    else:
        return None
    return TerraformError(
        f"the state of {name} in {kind} is encrypted {what}",
        f"git pull   # its key is environment.{VARIABLE} in secrets/{name}.yaml",
        "scripts/install-tools   # installs OpenTofu; Terraform cannot read such a state",
    )
