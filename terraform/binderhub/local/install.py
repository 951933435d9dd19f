"""Installs BinderHub for a local hub, into a virtual environment of its own; Terraform runs it.

    HUB_BINDER_VERSION=0.1.0 python3 install.py run

It runs in the folder of the recipe and needs Python 3.9 or later and `uv`, nothing else: the
metadata of BinderHub 0.1.0 is not standard, and pip refuses it.
"""

# A program of its own, outside of the package: it starts processes and prints.
# ruff: noqa: S606, T201, TID251

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

# The installation waits here until the hub that runs from the last one has been stopped.
NEW_VENV = Path("hub") / "venv.new"

# What uv, and git and npm below it, may see: places, package indexes, proxies, CAs. Terraform's
# environment can hold secrets.
# fmt: off
NAMES = frozenset([
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ",
    "SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
])
# fmt: on
PREFIXES = ("UV_", "XDG_", "NPM_CONFIG_", "npm_config_")


def requirement(version: str) -> str:
    """What uv is to install for `binder_version`: a version, a path or a git reference."""
    if version.startswith("git+"):
        return f"binderhub @ {version}"
    if version.startswith((".", "/")):
        if not Path(version).is_dir():
            sys.exit(
                f"error: binder_version: there is no folder {version}\n"
                'hint: main.tf, module "binderhub"; a path starts at the folder of main.tf'
            )
        return version
    return f"binderhub=={version}"


def install(version: str) -> NoReturn:
    """Make the virtual environment; the next start of the hub takes it into use."""
    wanted = requirement(version)
    uv = shutil.which("uv")
    if uv is None:
        sys.exit(
            "error: uv is not on PATH\nhint: ./scripts/invoke brings it; by hand: pip install uv"
        )
    settings = {k: v for k, v in os.environ.items() if k in NAMES or k.startswith(PREFIXES)}
    NEW_VENV.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.rmtree(NEW_VENV, ignore_errors=True)
    made = subprocess.run(
        [uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(NEW_VENV)],
        env=settings,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if made.returncode:
        sys.exit("error: uv could not make hub/venv")
    print(f"installing {wanted}", flush=True)
    python = str(NEW_VENV / "bin" / "python")
    # Terraform kills what it runs when it is interrupted. As a child of this process uv would
    # live on and write into a folder that is being removed.
    os.execve(uv, [uv, "pip", "install", "--quiet", "--python", python, wanted], settings)


if __name__ == "__main__":
    os.umask(0o077)
    try:
        install(os.environ["HUB_BINDER_VERSION"])
    except OSError as error:
        sys.exit(f"error: {error}")
