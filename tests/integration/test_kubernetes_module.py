"""terraform/binderhub/kubernetes, applied by the real terraform over real ssh.

See remote_machines.py for what stands in. `values` were rendered with the real charts of
BinderHub and cert-manager by hand, which no package index has.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mirrors import real_tools
from remote_machines import (
    JOIN_TOKEN,
    LACKING,
    STAND_IN_PROGRAMS,
    TERRAFORM,
    Machines,
    agent,
    rendered_values,
)

from barehub.project import Project
from tests.canary import Watch, holding, spellings

pytestmark = [pytest.mark.cloud, pytest.mark.skipif(bool(LACKING), reason=LACKING)]

PASSWORD = "CANARY-registry-pw-5b1c"
TOKEN = "CANARY-hub-token-90ab77e1c4d2f6a8"
K3S, HELM, CERT_MANAGER = "v1.99.0+k3s1", "v4.99.0", "v1.99.0"
OLD, NEW = "1.0.0-0.test.1.haaaaaaa", "1.0.0-0.test.2.hbbbbbbb"

WITH_SECRETS = ("apply", "plan", "destroy")
OUTPUTS = ("endpoint", "connect_to", "builds", "hub", "version", "service")


class Bench:
    """A recipe that calls the module alone, and terraform in its folder."""

    def __init__(self, folder: Path, machines: Machines, environment: dict[str, str]) -> None:
        self.folder, self.machines = folder, machines
        self.env = {**os.environ, **environment, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
        master, *nodes = machines.addresses
        self.arguments: dict[str, Any] = {
            "source": os.path.relpath(TERRAFORM / "binderhub" / "kubernetes", folder),
            "project_name": "demo",
            "ip": master,
            "nodes": [{"name": f"demo-node{i}", "ip": ip} for i, ip in enumerate(nodes, 1)],
            "admin_user": machines.user,
            "ssh_port": machines.port,
            "domain": "hub.barehub.test",
            "binder_version": OLD,
            "TLS_email": "ops@barehub.test",
            "mem_alloc_gb": 3,
            "cpu_alloc": 1.5,
            "docker_registry": "registry.barehub.test:5000",
            "docker_id": "robot",
            "docker_password": PASSWORD,
            "hub_token": TOKEN,
            "k3s_version": K3S,
            "helm_version": HELM,
            "cert_manager_version": CERT_MANAGER,
            "mirror": machines.mirror.url,
            "wait_seconds": 60,
        }
        self.secrets = folder.parent / "secrets.tfvars.json"
        self.terraform = str(Project(folder).terraform.path)

    def write(self, **changes: Any) -> None:
        """The recipe; its secrets come from a file, as they come from the vault."""
        arguments = self.arguments | changes
        secret = ("docker_password", "hub_token")
        self.secrets.write_text(json.dumps({name: arguments[name] for name in secret}))
        called = {**arguments, **{name: f"${{var.{name}}}" for name in secret}}
        outputs = {name: {"value": f"${{module.binderhub.{name}}}"} for name in OUTPUTS}
        recipe = {
            "variable": {name: {"sensitive": True} for name in secret},
            "module": {"binderhub": called},
            "output": outputs,
        }
        (self.folder / "main.tf.json").write_text(json.dumps(recipe))

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        secrets = [f"-var-file={self.secrets}"] if arguments[0] in WITH_SECRETS else []
        return subprocess.run(
            [self.terraform, *arguments, *secrets, "-no-color"],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def apply(self, *options: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        self.write(**changes)
        if not (self.folder / ".terraform").exists():
            assert self("init", "-input=false").returncode == 0
        return self("apply", "-auto-approve", "-input=false", *options)

    def applied(self, *options: str, **changes: Any) -> str:
        done = self.apply(*options, **changes)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *options: str, **changes: Any) -> str:
        """The errors of an apply that fails, in one line each, without terraform's frame."""
        done = self.apply(*options, **changes)
        assert done.returncode == 1, done.stdout
        return " ".join(done.stderr.replace("│", " ").split())


@pytest.fixture(scope="module")
def helm() -> Path | None:
    tools = real_tools()
    return tools / "helm" if tools else None


@pytest.fixture
def machines(tmp_path: Path, helm: Path | None) -> Iterator[Machines]:
    with Machines(tmp_path / "machines", helm) as made:
        made.release(K3S, HELM, CERT_MANAGER, OLD, NEW)
        yield made


@pytest.fixture
def bench(tmp_path: Path, machines: Machines) -> Iterator[Bench]:
    folder = tmp_path / "instance"
    folder.mkdir()
    with agent(machines.folder / "key", tmp_path) as environment:
        yield Bench(folder, machines, environment)


def test_a_cluster_and_a_hub_are_made_once(bench: Bench, machines: Machines) -> None:
    with Watch() as watch:
        said = bench.applied()
    assert "2 machines are ready" in said and "BinderHub is healthy" in said

    outputs = {k: v["value"] for k, v in json.loads(bench("output", "-json").stdout).items()}
    assert outputs == {
        "endpoint": "https://hub.barehub.test",
        "connect_to": f"{machines.addresses[0]}:443",
        "builds": "real",
        "hub": "/jupyter/",
        "version": OLD,
        "service": "terraform_data.hub",
    }
    _every_machine_is_in_its_place(machines)
    _secrets_are_only_where_they_belong(bench, watch, said)
    if machines.helm:
        _the_charts_got_their_values(machines)

    # each download once: the nodes take the same file that the master pinned
    learnt = (bench.folder / "checksums.txt").read_text()
    assert len(learnt.splitlines()) == 4 and "k3s" in learnt
    assert len((bench.folder / "known_hosts").read_text().splitlines()) == 2

    # nothing to do the second time; nothing is restarted or fetched the third, which is forced
    assert bench("plan", "-input=false", "-detailed-exitcode").returncode == 0
    machines.forget_calls()
    machines.mirror.asked.clear()
    bench.applied("-replace=module.binderhub.terraform_data.cluster")
    assert "restart" not in machines.calls() and not machines.mirror.asked
    assert "uninstall" not in machines.calls()


def _every_machine_is_in_its_place(machines: Machines) -> None:
    calls = machines.calls()
    assert {path.name for path in (machines.cluster / "nodes").iterdir()} == {
        "demo-master",
        "demo-node1",
    }
    assert "label --overwrite node demo-master hub.jupyter.org/node-purpose=core" in calls
    assert "label --overwrite node demo-node1 hub.jupyter.org/node-purpose=user" in calls
    assert (
        "taint --overwrite node demo-master node-role.kubernetes.io/control-plane=:NoSchedule"
        in calls
    )
    server, node = (machines.at(address) / "etc/rancher/k3s" for address in machines.addresses[:2])
    assert json.loads((server / "config.yaml").read_text())["secrets-encryption"] is True
    joins = json.loads((node / "config.yaml").read_text())
    assert joins["server"] == f"https://{machines.addresses[0]}:6443"
    assert (node / "token").read_text().strip() == JOIN_TOKEN
    assert (node / "token").stat().st_mode & 0o777 == 0o600
    applied = [json.loads(line) for line in (machines.cluster / "applied").read_text().splitlines()]
    objects = {(o["kind"], o["metadata"]["name"]): o for a in applied for o in a["items"]}
    issuer = objects["ClusterIssuer", "letsencrypt"]["spec"]["acme"]
    assert issuer["email"] == "ops@barehub.test"
    [*_, world] = objects["NetworkPolicy", "builds"]["spec"]["egress"]
    assert "169.254.0.0/16" in world["to"][0]["ipBlock"]["except"]


def _secrets_are_only_where_they_belong(bench: Bench, watch: Watch, said: str) -> None:
    machines = bench.machines
    # the values that Kubernetes' secret is made of, as they came over standard input
    kept = ("values-binderhub.json", "rendered-binderhub.yaml")
    for value in (PASSWORD, TOKEN):
        assert value in machines.flag("values-binderhub.json").read_text()
        assert holding(value, bench.folder, machines.folder, but=kept) == []
        assert value not in said
        # in the environment of the one provisioner that needs it, and of nothing that it starts
        assert _only_as("HUB_SECRETS", watch.holding(value))
    assert holding(JOIN_TOKEN, bench.folder, machines.folder, but=("token", "entry")) == []
    assert _only_as("JOIN_TOKEN", [t for t in watch.seen if spellings(JOIN_TOKEN)[0] in t])


def _only_as(name: str, environments: list[bytes]) -> bool:
    """Tell whether each has it; bash writes NUL over each ``=`` for a moment when it starts."""
    return all(re.search(rb"\b%b[=\0]" % name.encode(), text) for text in environments)


def _the_charts_got_their_values(machines: Machines) -> None:
    got = rendered_values(machines, "binderhub")
    user = got["jupyterhub"]["singleuser"]
    assert user["memory"] == {"limit": "3G", "guarantee": "3G"}
    assert user["cpu"] == {"limit": 1.5, "guarantee": 1.5}
    assert user["networkPolicy"]["egressAllowRules"]["cloudMetadataServer"] is False
    assert got["registry"] == {
        "url": "https://registry.barehub.test:5000",
        "username": "robot",
        "password": PASSWORD,
    }
    assert got["config"]["BinderHub"]["image_prefix"] == "registry.barehub.test:5000/demo-"
    assert got["config"]["BinderHub"]["build_node_selector"] == {
        "hub.jupyter.org/node-purpose": "user"
    }
    scheduling = got["jupyterhub"]["scheduling"]["userPods"]["nodeAffinity"]
    assert scheduling == {"matchNodePurpose": "require"}
    assert got["nodeSelector"] == {"hub.jupyter.org/node-purpose": "core"}


def test_an_edit_upgrades_the_hub_and_not_the_cluster(bench: Bench, machines: Machines) -> None:
    bench.applied(nodes=[])
    machines.forget_calls()
    said = bench.applied(nodes=[], binder_version=NEW, mem_alloc_gb=8)
    assert "terraform_data.cluster must be replaced" not in said
    assert "restart" not in machines.calls()
    if machines.helm:
        assert NEW in machines.flag("rendered-binderhub.yaml").read_text()
        got = rendered_values(machines, "binderhub")
        assert got["jupyterhub"]["singleuser"]["memory"]["limit"] == "8G"

    # a password is rotated in the same way, and no machine is touched
    machines.forget_calls()
    bench.applied(
        nodes=[], binder_version=NEW, mem_alloc_gb=8, docker_password="CANARY-rotated-77aa01"
    )
    assert "CANARY-rotated-77aa01" in machines.flag("values-binderhub.json").read_text()
    assert "restart" not in machines.calls()


def test_a_newer_k3s_is_taken_into_use_even_after_a_kill(bench: Bench, machines: Machines) -> None:
    bench.applied(nodes=[])
    k3s, helm = STAND_IN_PROGRAMS
    machines.release("v1.99.1+k3s1", HELM, CERT_MANAGER, programs=(k3s + b"# newer", helm))
    machines.forget_calls()
    bench.applied(nodes=[], k3s_version="v1.99.1+k3s1")
    master = machines.at(machines.addresses[0])
    assert "# newer" in (master / "usr/local/bin/k3s").read_text()
    assert "systemctl restart k3s" in machines.calls()

    # killed after the program was put in its place, and before it was started
    (master / "usr/local/lib/barehub/started").write_text("an older one\n")
    machines.forget_calls()
    replace = "-replace=module.binderhub.terraform_data.cluster"
    bench.applied(replace, nodes=[], k3s_version="v1.99.1+k3s1")
    assert "systemctl restart k3s" in machines.calls()


@pytest.mark.timeout(300)  # six bounds are reached, one after the other
def test_each_step_that_fails_fails_the_apply_and_a_rerun_goes_on(
    bench: Bench, machines: Machines
) -> None:
    steps = {
        "broken-k3s": "k3s does not start within 4 s",
        "no-apply": "Kubernetes does not take the objects within 4 s",
        "broken-helm": "helm cannot install cert-manager",
        "stuck": "deployment/hub is not ready within 4 s",
        "unhealthy": "BinderHub is not healthy within 4 s: Error: 503",
        "no-certificate": "there is no certificate within 4 s: no such name",
    }
    for flag, told in steps.items():
        machines.flag(flag).touch()
        begun = time.monotonic()
        said = bench.refused(nodes=[], wait_seconds=4)
        assert told in said, flag
        assert time.monotonic() - begun < 60, flag
        assert PASSWORD not in said and TOKEN not in said
        machines.flag(flag).unlink()
    assert "BinderHub is healthy" in bench.applied(nodes=[])


def test_a_node_that_does_not_join_is_named(bench: Bench, machines: Machines) -> None:
    machines.flag("slow-k3s-agent").touch()
    said = bench.refused(wait_seconds=3)
    assert "demo-node1" in said and "k3s-agent does not start within 3 s" in said
    assert 'level=fatal msg="made to fail"' in said


def test_a_hub_grows_by_a_node_and_shrinks_again(bench: Bench, machines: Machines) -> None:
    master, node = map(machines.at, machines.addresses)
    bench.applied(nodes=[])
    calls = machines.calls()
    assert "label --overwrite node demo-master hub.jupyter.org/node-purpose=user" in calls
    assert "node demo-master node-role.kubernetes.io/control-plane:NoSchedule-" in calls
    if machines.helm:
        assert "nodeSelector" not in rendered_values(machines, "binderhub")

    bench.applied()
    assert "node-role.kubernetes.io/control-plane=:NoSchedule" in machines.calls()
    if machines.helm:
        assert "nodeSelector" in rendered_values(machines, "binderhub")

    assert "demo-node1 has been taken off" in bench.applied(nodes=[])
    assert [path.name for path in (machines.cluster / "nodes").iterdir()] == ["demo-master"]
    assert not (node / "usr/local/bin/k3s").exists() and (master / "usr/local/bin/k3s").exists()


def test_a_changed_host_key_is_refused(bench: Bench, machines: Machines) -> None:
    bench.applied()
    node = machines.addresses[1]
    machines.new_host_key(node)
    replace = "-replace=module.binderhub.terraform_data.cluster"
    said = bench.refused(replace)
    assert f"the host key of demo-node1 ({node}) is not the one in known_hosts" in said
    assert f"ssh-keygen -R '[{node}]:{machines.port}'" in said
    known = str(bench.folder / "known_hosts")
    command = ["ssh-keygen", "-R", f"[{node}]:{machines.port}", "-f", known]
    subprocess.run(command, check=True, capture_output=True)
    bench.applied(replace)


def test_keys_that_are_given_are_the_only_ones(bench: Bench, machines: Machines) -> None:
    master, other = machines.addresses[:2]
    line = (machines.at(other) / "host_key.pub").read_text().split()
    wrong = f"[{master}]:{machines.port} {line[0]} {line[1]}"
    said = bench.refused(nodes=[], host_keys=[wrong])
    assert f"the host key of demo-master ({master}) is not the one in known_hosts" in said
    line = (machines.at(master) / "host_key.pub").read_text().split()
    bench.applied(nodes=[], host_keys=[f"[{master}]:{machines.port} {line[0]} {line[1]}"])


def test_a_download_that_is_not_the_pinned_one_is_refused(bench: Bench, machines: Machines) -> None:
    bench.applied(nodes=[])
    for chart in machines.mirror.folder.glob("jupyterhub.github.io/helm-chart/*.tgz"):
        chart.write_bytes(chart.read_bytes() + b"\0")
    store = machines.at(machines.addresses[0]) / "usr/local/lib/barehub/binderhub.tgz"
    store.unlink()
    said = bench.refused("-replace=module.binderhub.terraform_data.hub", nodes=[])
    assert "has the checksum" in said and "checksums.txt" in said
    assert not store.exists()
    # what the module itself pins cannot be talked over by what comes first
    said = bench.refused(nodes=[], cert_manager_version="v1.21.0")
    assert "v1.21.0.tgz cannot be downloaded" in said


def test_a_hub_that_does_not_answer_is_started_again(bench: Bench, machines: Machines) -> None:
    bench.applied(nodes=[])
    master = machines.at(machines.addresses[0])
    (master / "active-k3s").unlink()
    machines.forget_calls()
    bench.applied("-replace=module.binderhub.terraform_data.hub", nodes=[])
    assert "systemctl start k3s" in machines.calls()


def test_destroying_takes_everything_off_the_machines(bench: Bench, machines: Machines) -> None:
    bench.applied()
    machines.stop(machines.addresses[1])
    done = bench("destroy", "-auto-approve", "-input=false")
    said = " ".join(done.stderr.replace("│", " ").split())
    assert done.returncode == 1, done.stdout
    assert f"export BAREHUB_GONE='{machines.addresses[1]}'" in said
    bench.env["BAREHUB_GONE"] = machines.addresses[1]
    assert bench("destroy", "-auto-approve", "-input=false").returncode == 0
    place = machines.at(machines.addresses[0])
    kept = ("etc/rancher", "usr/local/bin/k3s", "usr/local/lib/barehub", "var/lib/rancher")
    assert [path for path in kept if (place / path).exists()] == []
    assert not list((place / "etc/systemd/system").glob("k3s*"))
    assert "disable --quiet --now k3s" in machines.calls()


def test_machines_that_are_destroyed_anyway_are_left_alone(
    bench: Bench, machines: Machines
) -> None:
    bench.applied(nodes=[], uninstall=False)
    machines.stop(machines.addresses[0])
    assert bench("destroy", "-auto-approve", "-input=false").returncode == 0


def test_without_a_key_the_person_is_told(bench: Bench, tmp_path: Path) -> None:
    bench.env["SSH_AUTH_SOCK"] = str(tmp_path / "nothing")
    assert "refuses the keys of the ssh-agent" in bench.refused(nodes=[])
