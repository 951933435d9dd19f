"""What is downloaded to the machines, from where, and the checksums that come back."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import checksums
from ssh import Failed

# By what `uname -m` says, the name that releases have.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Download:
    """A file, called `name` on the machine. `mirror` stands before the address without https://."""

    name: str
    url: str
    mirror: str = ""

    def arguments(self) -> list[str]:
        """Name, address and checksum, as remote/prelude.sh takes them."""
        address = self.url
        if self.mirror:
            address = f"{self.mirror.rstrip('/')}/{self.url.removeprefix('https://')}"
        return [self.name, address, checksums.expected(self.url)]


def k3s(version: str, architecture: str, mirror: str) -> Download:
    suffix = "" if architecture == "amd64" else f"-{architecture}"
    base = "https://github.com/k3s-io/k3s/releases/download"
    return Download("k3s", f"{base}/{quote(version)}/k3s{suffix}", mirror)


def helm(version: str, architecture: str, mirror: str) -> Download:
    url = f"https://get.helm.sh/helm-{version}-linux-{architecture}.tar.gz"
    return Download("helm.tar.gz", url, mirror)


def cert_manager(version: str, mirror: str) -> Download:
    url = f"https://charts.jetstack.io/charts/cert-manager-{version}.tgz"
    return Download("cert-manager.tgz", url, mirror)


def binderhub(version: str, mirror: str) -> Download:
    url = f"https://jupyterhub.github.io/helm-chart/binderhub-{version}.tgz"
    return Download("binderhub.tgz", url, mirror)


def learn(said: str, *downloads: Download) -> list[str]:
    """Keep the checksums that a machine told and nobody knew; a line on each.

    :raises Failed: one is not what another machine told.
    """
    lines = [line.split() for line in said.splitlines()]
    told = {words[2]: words[1] for words in lines if len(words) == 3 and words[0] == "sha256"}
    try:
        return [
            f"checksums.txt now pins {download.url}"
            for download in downloads
            if download.name in told and checksums.learn(download.url, told[download.name])
        ]
    except ValueError as error:
        raise Failed(str(error), "find out why before you change checksums.txt") from None
