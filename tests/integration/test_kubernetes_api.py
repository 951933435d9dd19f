"""terraform/binderhub/kubernetes against the API of a real Kubernetes, with real kubectl and helm.

What stands in is `k3s` around kubectl, and `systemctl`, which registers a node that does not run.
So the objects, the values and the commands are judged by who will judge them, and no pod starts.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_api import ETCD, GO, api
from mirrors import real_tools
from remote_machines import LACKING, RECORD, TERRAFORM, Machines, agent

pytestmark = [
    pytest.mark.cloud,
    pytest.mark.timeout(1800),  # the first time it builds the API
    pytest.mark.skipif(bool(LACKING), reason=LACKING),
    pytest.mark.skipif(not (GO and ETCD), reason="needs Go and etcd"),
    pytest.mark.skipif(real_tools() is None, reason="kubectl and helm are there for x86-64 alone"),
]

MODULE = TERRAFORM / "binderhub" / "kubernetes"
K3S, HELM, CERT_MANAGER, VERSION = "v1.99.0+k3s1", "v4.99.0", "v1.99.0", "1.0.0-0.test.1.haaaaaaa"
PASSWORD = "CANARY-registry-pw-77cd"

SYSTEMCTL = """
unit=${!#}
case $1 in
is-active) [ -e "$MACHINE/active-$unit" ] ;;
restart | start)
    touch "$MACHINE/active-$unit"
    install -m 600 "$CLUSTER/kubeconfig" /etc/rancher/k3s/k3s.yaml
    export KUBECONFIG=/etc/rancher/k3s/k3s.yaml
    name=$(sed -n 's/.*"node-name": "\\([^"]*\\)".*/\\1/p' /etc/rancher/k3s/config.yaml)
    echo '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "'$name'"}}' |
        "$CLUSTER/kubectl" apply -f -
    now=$(date -u +%FT%TZ)
    "$CLUSTER/kubectl" patch node "$name" --subresource=status --type=merge -p '{"status": {
        "addresses": [{"type": "InternalIP", "address": "'$ADDRESS'"}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "Stands",
            "lastHeartbeatTime": "'$now'", "lastTransitionTime": "'$now'"}]}}'
    ;;
esac
"""

K3S_PROGRAM = """
if [ "$1" = token ]; then echo "$JOIN_TOKEN"; exit; fi
shift
exec "$CLUSTER/kubectl" "$@"
"""

KINDS = {
    "HelmChartConfig": ("helm.cattle.io", "v1", "helmchartconfigs", "Namespaced"),
    "Middleware": ("traefik.io", "v1alpha1", "middlewares", "Namespaced"),
    "ClusterIssuer": ("cert-manager.io", "v1", "clusterissuers", "Cluster"),
}


class Cluster:
    """The module's own scripts, as Terraform runs them, against machines with that API."""

    def __init__(self, folder: Path, machines: Machines, kubectl: Path, config: Path) -> None:
        self.folder, self.machines, self.kubectl, self.config = folder, machines, kubectl, config
        master, node = machines.addresses
        self.cluster = {
            "project_name": "demo", "ip": master, "nodes": [{"name": "demo-node1", "ip": node}],
            "admin_user": machines.user, "ssh_port": machines.port, "host_keys": [],
            "k3s_version": K3S, "mirror": machines.mirror.url, "wait_seconds": 30,
            "uninstall": True,
        }  # fmt: skip
        self.settings = {
            "domain": "hub.barehub.test", "TLS_email": "ops@barehub.test", "TLS_name": "hub-test",
            "acme_server": "https://acme.barehub.test/directory", "binder_version": VERSION,
            "cert_manager_version": CERT_MANAGER, "helm_version": HELM, "mem_alloc_gb": 3,
            "cpu_alloc": 1.5, "docker_registry": "registry.barehub.test", "values": {},
            "reachable_networks": ["10.9.0.0/16"], "wait_seconds": 5,
        }  # fmt: skip
        self.secrets = {"docker_id": "robot", "docker_password": PASSWORD, "hub_token": "t" * 32}

    def run(
        self, script: str, command: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        given = {
            "HUB_CLUSTER": json.dumps(self.cluster),
            "HUB_SETTINGS": json.dumps(self.settings),
            "HUB_SECRETS": json.dumps(self.secrets),
        }
        return subprocess.run(
            [sys.executable, "-B", MODULE / script, command],
            env={**os.environ, **given},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def ran(self, script: str, command: str) -> str:
        done = self.run(script, command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kube(self, *arguments: str, given: Any = None) -> str:
        done = subprocess.run(
            [self.kubectl, "--kubeconfig", self.config, *arguments],
            input=json.dumps(given) if given else "",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kube("get", *arguments, "--output", "json"))


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    tools = real_tools()
    assert tools
    folder = tmp_path / "instance"
    folder.mkdir()
    with (
        api(tmp_path / "api", tools / "kubectl") as config,
        Machines(tmp_path / "machines", helm=None) as machines,
        agent(machines.folder / "key", tmp_path) as environment,
    ):
        monkeypatch.setenv("SSH_AUTH_SOCK", environment["SSH_AUTH_SOCK"])
        programs = ((RECORD + K3S_PROGRAM).encode(), (tools / "helm").read_bytes())
        machines.release(K3S, HELM, CERT_MANAGER, VERSION, programs=programs)
        (machines.bin / "systemctl").write_text(RECORD + SYSTEMCTL)
        (machines.cluster / "kubectl").symlink_to(tools / "kubectl")
        (machines.cluster / "kubeconfig").write_text(config.read_text())
        made = Cluster(folder, machines, tools / "kubectl", config)
        for kind, (group, version, plural, scope) in KINDS.items():
            made.kube("apply", "--filename", "-", given=_kind(kind, group, version, plural, scope))
        yield made


def _kind(kind: str, group: str, version: str, plural: str, scope: str) -> dict[str, Any]:
    """The definition of a kind that k3s, Traefik or cert-manager bring; it takes any content."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def test_kubernetes_takes_all_that_the_module_gives_it(cluster: Cluster) -> None:
    assert "2 machines are ready" in cluster.ran("cluster.py", "install")
    nodes = {node["metadata"]["name"]: node for node in cluster.get("nodes")["items"]}
    purpose = "hub.jupyter.org/node-purpose"
    assert nodes["demo-master"]["metadata"]["labels"][purpose] == "core"
    assert nodes["demo-node1"]["metadata"]["labels"][purpose] == "user"
    taints = [taint["key"] for taint in nodes["demo-master"]["spec"]["taints"]]
    assert "node-role.kubernetes.io/control-plane" in taints

    cluster.ran("hub.py", "prepare")
    cluster.ran("hub.py", "install")
    where = ("--namespace", "binderhub")
    policy = cluster.get("networkpolicy", "builds", *where)["spec"]
    world = policy["egress"][1]["to"]
    assert "169.254.0.0/16" in world[0]["ipBlock"]["except"]
    assert world[1]["ipBlock"]["cidr"] == "10.9.0.0/16"
    ingress = cluster.get("ingress", "hub", *where)["spec"]
    paths = [
        (p["path"], p["backend"]["service"]["name"]) for p in ingress["rules"][0]["http"]["paths"]
    ]
    assert paths == [("/jupyter/", "proxy-public"), ("/", "binder")]
    secret = cluster.get("secret", "binderhub", *where)["data"]
    values = json.loads(base64.b64decode(secret["values"]))
    assert values["registry"]["password"] == PASSWORD

    # a second time, an edit, and one after a helm that was killed at work
    cluster.ran("cluster.py", "install")
    cluster.ran("hub.py", "prepare")
    cluster.settings["mem_alloc_gb"] = 8
    cluster.ran("hub.py", "install")
    newest = "sh.helm.release.v1.binderhub.v2"
    cluster.kube("label", "secret", newest, *where, "--overwrite", "status=pending-upgrade")
    cluster.ran("hub.py", "install")
    releases = cluster.get("secrets", *where, "--selector", "owner=helm")["items"]
    assert [one["metadata"]["labels"]["status"] for one in releases] == ["superseded", "deployed"]

    # there are no pods: the wait says so and ends
    done = cluster.run("hub.py", "wait")
    assert done.returncode == 1
    assert "deployment/hub is not ready within 5 s" in done.stderr

    cluster.cluster["nodes"] = []
    said = cluster.ran("cluster.py", "install")
    assert "demo-node1 has been taken off" in said
    [left] = cluster.get("nodes")["items"]
    assert left["metadata"]["labels"][purpose] == "user"
    assert "control-plane" not in json.dumps(left["spec"].get("taints", []))
