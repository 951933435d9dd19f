"""Installs BinderHub in the cluster and waits until it works; Terraform runs it.

    HUB_CLUSTER='{…}' HUB_SETTINGS='{…}' python3 hub.py prepare|install|wait

It runs in the folder of the recipe and needs Python 3.9 or later and ssh, nothing else. Only
`install` is told secrets, in HUB_SECRETS: they go to the master over standard input and are kept
in secrets of the cluster, nowhere else.
"""

# A program of its own, outside of the package: it prints.
# ruff: noqa: T201

from __future__ import annotations

import json
import os
import sys
from typing import Any

import downloads
import values
from cluster import QUICK_SECONDS, master_of, script
from ssh import Failed, Machine, fail, run

RELEASE_SECONDS = 600
DOWNLOAD_SECONDS = 1800
APPLY_SECONDS = 180


class Hub:
    """The hub of one cluster: its master, and what it is to be."""

    def __init__(self, cluster: dict[str, Any], settings: dict[str, Any]) -> None:
        self.master: Machine = master_of(cluster)
        self.mirror: str = cluster["mirror"]
        self.settings = {**settings, "project_name": cluster["project_name"]}
        self.settings["single"] = not cluster["nodes"]
        self.patience = min(APPLY_SECONDS, settings["wait_seconds"])

    def prepare(self) -> None:
        """Wake up a hub that does not answer, fetch the charts, install what the hub stands on."""
        settings, single = self.settings, self.settings["single"]
        run(
            self.master,
            script("wake"),
            str(self.patience),
            values.NAMESPACE,
            seconds=self.patience + QUICK_SECONDS,
        )
        self.download()
        self.apply(values.base(settings["reachable_networks"]))
        self.release("cert-manager", "cert-manager", values.cert_manager(single), "--wait")
        self.apply(values.site(settings))

    def download(self) -> None:
        said = run(self.master, script("machine"), seconds=QUICK_SECONDS).split()
        wanted = [
            downloads.helm(
                self.settings["helm_version"], downloads.ARCHITECTURES[said[1]], self.mirror
            ),
            downloads.cert_manager(self.settings["cert_manager_version"], self.mirror),
            downloads.binderhub(self.settings["binder_version"], self.mirror),
        ]
        arguments = [word for download in wanted for word in download.arguments()]
        said_of_them = run(self.master, script("download"), *arguments, seconds=DOWNLOAD_SECONDS)
        for line in downloads.learn(said_of_them, *wanted):
            print(line)

    def apply(self, objects: list[dict[str, Any]]) -> None:
        content = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode()
        run(
            self.master,
            script("apply"),
            str(self.patience),
            data=content,
            seconds=self.patience + QUICK_SECONDS,
        )

    def release(self, name: str, namespace: str, content: dict[str, Any], *options: str) -> None:
        print(f"installing {name}", flush=True)
        run(
            self.master,
            script("release"),
            name,
            namespace,
            f"{name}.tgz",
            str(RELEASE_SECONDS),
            *options,
            data=json.dumps(content).encode(),
            seconds=RELEASE_SECONDS + QUICK_SECONDS,
        )

    def install(self) -> None:
        """Install or upgrade BinderHub."""
        secrets = json.loads(os.environ.pop("HUB_SECRETS"))  # ssh does not inherit it
        self.release("binderhub", values.NAMESPACE, values.binderhub(self.settings, secrets))

    def wait(self) -> None:
        """Wait until every part is ready, /health says so, and there is a certificate."""
        seconds = self.settings["wait_seconds"]
        run(
            self.master,
            script("wait"),
            str(seconds),
            values.NAMESPACE,
            self.settings["TLS_name"],
            seconds=seconds + QUICK_SECONDS,
        )
        print(f"BinderHub is healthy behind {self.settings['domain']}")


if __name__ == "__main__":
    hub = Hub(json.loads(os.environ["HUB_CLUSTER"]), json.loads(os.environ["HUB_SETTINGS"]))
    try:
        {"prepare": hub.prepare, "install": hub.install, "wait": hub.wait}[sys.argv[1]]()
    except Failed as failure:
        fail(failure)
