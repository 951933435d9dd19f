"""The commands that engines are given. docker runs on no machine of the tests: only this is seen of
it, and what its documentation says of these options."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from barehub import container, engine
from barehub.container import Wish
from barehub.engine import Box, Container, Engine
from barehub.errors import ToolError, UsageError

BOX = Box(
    name="barehub-demo-12ab",
    image="localhost/barehub:1",
    root=Path("/home/me/hubs"),
    writable=Path("/home/me/hubs/instances/demo"),
    labels={"run": "12ab", "instance": "demo"},
    id_file=Path("/run/me/barehub-1/x/container"),
)

EVERYWHERE = (
    "--rm --interactive --read-only",
    "--cap-drop ALL --security-opt no-new-privileges",
    "--log-driver none",
    "--pull never",
    "--label=org.barehub.run=12ab",
    "--mount type=bind,source=/home/me/hubs,target=/home/me/hubs,readonly",
    "--mount type=bind,source=/home/me/hubs/instances/demo,target=/home/me/hubs/instances/demo --",
    "--workdir /home/me/hubs",
    "localhost/barehub:1 -m barehub.inside spawn --name demo",
)


def _line(kind: str, *, rootless: bool = False, box: Box = BOX) -> str:
    return " ".join(Engine(kind, kind, rootless).run(box, ["spawn", "--name", "demo"]))


@pytest.mark.parametrize("rootless", [True, False])
@pytest.mark.parametrize("kind", engine.ENGINES)
def test_a_box_is_sealed_whatever_engine_runs_it(kind: str, rootless: bool) -> None:
    line = _line(kind, rootless=rootless)
    for part in EVERYWHERE:
        for option in part.split(" --") if part.startswith("--rm") else [part]:
            assert option in line, line
    for open_door in ("--privileged", "--volume", "--pid", "--ipc", "--device", "--cap-add", "-t "):
        assert open_door not in line


def test_files_belong_to_whoever_calls() -> None:
    me = f"--user {os.getuid()}:{os.getgid()}"
    assert me in _line("podman") and me in _line("docker")
    assert f"--userns keep-id {me}" in _line("podman", rootless=True)
    assert "--user 0:0" in _line("docker", rootless=True)


def test_only_what_must_be_told_is_in_the_environment() -> None:
    for kind in engine.ENGINES:
        words = _line(kind).split()
        names = [words[i + 1].split("=")[0] for i, word in enumerate(words) if word == "--env"]
        assert names == ["XDG_RUNTIME_DIR", "HOME"]
    assert "--http-proxy=false" in _line("podman")
    assert "--http-proxy" not in _line("docker")


def test_a_network_is_the_engines_own_unless_one_is_named() -> None:
    assert "--network" not in _line("podman")
    box = Box(**{**BOX.__dict__, "network": "host"})
    assert "--network host" in _line("podman", box=box)


def test_limits_are_those_of_this_process() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY not in (soft, hard):
        assert f"--ulimit nofile={soft}:{hard}" in _line("podman")


def test_a_folder_with_a_comma_is_mounted_and_one_with_a_newline_refused() -> None:
    box = Box(**{**BOX.__dict__, "root": Path("/home/a,b"), "writable": None})
    argv = Engine("podman", "podman", False).run(box, [])
    assert 'type=bind,"source=/home/a,b","target=/home/a,b",readonly' in argv
    with pytest.raises(UsageError, match="control character"):
        Engine("podman", "podman", False).run(
            Box(**{**BOX.__dict__, "root": Path("/home/a\nb")}), []
        )


def test_what_podman_and_docker_tell_of_a_container() -> None:
    labels = {"org.barehub.run": "1", "maintainer": "x"}
    mounts = [{"Type": "bind", "Destination": "/a"}, {"Type": "volume", "Destination": "/b"}]
    docker = {
        "Id": "1f",
        "Name": "/one",
        "Image": "sha256:0",
        "Config": {"Image": "old:v1", "Labels": labels},
        "State": {"Status": "running"},
        "Mounts": mounts,
    }
    podman = docker | {"Name": "one", "ImageName": "old:v1", "State": {"Status": "exited"}}
    one, other = Container.of(docker), Container.of(podman)
    assert (one.name, one.image, one.labels) == ("one", "old:v1", {"run": "1"})
    assert (other.name, other.image) == ("one", "old:v1")
    assert (one.running, other.running) == (True, False)
    assert one.mounted == {"/a"}


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_first_engine_that_answers_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-ins: a machine with each of these troubles is hard to have."""
    monkeypatch.delenv("BAREHUB_ENGINE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="podman was not found; docker was not found") as raised:
        engine.find()
    assert "optional" in raised.value.hints[-1] and "apt install podman" in raised.value.hints[0]
    _program(tmp_path, "podman", "echo 'Error: no subuid ranges' >&2; exit 125")
    _program(tmp_path, "docker", """echo '["name=seccomp","name=rootless"]'""")
    assert engine.find() == Engine("docker", "docker", rootless=True)
    _program(tmp_path, "podman", "echo false")
    assert engine.find() == Engine("podman", "podman", rootless=False)
    monkeypatch.setenv("BAREHUB_ENGINE", "docker")
    assert engine.find().kind == "docker"
    monkeypatch.setenv("BAREHUB_ENGINE", "kubectl")
    with pytest.raises(ToolError, match="kubectl was not found"):
        engine.find()


@pytest.mark.parametrize(
    ("value", "is_place"),
    [
        ("/usr/bin:/bin", True),
        ("/etc/ssl/cert.pem", True),
        ("http://proxy.example.org:3128", False),
        ("en_CA.UTF-8", False),
        ("", False),
        ("me", False),
    ],
)
def test_what_names_a_place_on_this_machine_stays_outside(value: str, is_place: bool) -> None:
    assert container._names_a_place(value) == is_place


def test_a_command_is_the_one_that_was_given() -> None:
    given = {"name": "", "ca_file": "a b.pem", "wait": True, "json": False, "from_": "dns"}
    wish = Wish("verify", {**given, "allow_replace": ["one", "two"], "timeout": "9"})
    assert " ".join(wish.argv()) == (
        f"verify --ca-file {Path.cwd()}/a b.pem --wait --from dns "
        "--allow-replace one --allow-replace two --timeout 9"
    )
