"""A hub's life in containers of a real podman, and where its secrets are meanwhile: nowhere."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from barehub import image
from tests import boxes
from tests.canary import holding, processes_holding, spellings
from tests.canary import told as told_to

from . import slow_cloud
from .boxed import boxed, inspected, mine, options, running, waited_for
from .conftest import Cli
from .terminal import Terminal

__all__ = ["boxed"]

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

CANARY = "CANARY-container-token"

HOST_MEMORY = (Path("/dev/shm"), Path("/run/libpod"), Path("/run/containers"))


def _engine_files() -> list[Path]:
    """What podman keeps of containers, beside the images."""
    kept = [p for p in (boxes.STORE / "images").iterdir() if "-images" not in p.name]
    return [boxes.STORE / "run", *(p for p in kept if p.name not in ("overlay", "vfs"))]


def _secrets(cli: Cli) -> list[str]:
    """What must be nowhere in clear: the identity, and the hub's own secrets."""
    keys = Path(os.environ["HOME"], ".config/sops/age/keys.txt").read_text()
    leaves = json.loads(cli("vault.show", "--name", "demo", "--reveal", "--json").out)
    own = [leaves["variables.hub_token"], leaves["variables.tls_key"].splitlines()[1]]
    return [keys.splitlines()[-1], *own]


def _told(secret: str) -> list[bytes]:
    """The arguments and variables of all processes that hold ``secret``, each by itself."""
    pids = [entry.name for entry in Path("/proc").glob("[0-9]*")]
    texts = [part for pid in pids for text in told_to(pid) for part in text.split(b"\0")]
    return [text for text in texts for form in spellings(secret) if form in text]


def _seen(secret: str, *places: Path) -> list[Path]:
    return holding(secret, *places, *HOST_MEMORY, *_engine_files(), but=("keys.txt",))


def test_a_hub_lives_and_ends_in_containers(boxed: Cli, tmp_path: Path) -> None:
    run = boxed.start("spawn", "--name", "demo", "--recipe", "local", "--container")
    name = running(boxed)
    told = inspected(name)
    identity, *own = secrets = _secrets(boxed)
    looks = 0
    while run.poll() is None:
        assert processes_holding(identity) == []
        for secret in own:  # the one child that starts the hub is told them, for a moment
            assert {text[:4] for text in _told(secret)} <= {b"HUB_"}
        for secret in secrets:
            assert _seen(secret, tmp_path) == []
        logs = boxes.podman("logs", name, check=False)
        assert not any(secret in logs + json.dumps(told) for secret in secrets)
        looks += 1
    out, err = run.communicate()
    assert run.returncode == 0, err
    assert looks > 1
    _see_the_seal(told, boxed)

    # verified inside, and ended with it: nobody is told that it is up
    assert out == ""
    assert "the hub is up" in err and "ends with it" in err, err
    assert f"{name} is gone" in err
    (row,) = json.loads(boxed("list", "--json").out)
    assert row["state"] == "stopped"
    assert mine(boxed) == []
    assert told["Id"] not in Path("/proc/self/mountinfo").read_text()

    # files belong to whoever called, and hold no secret; neither does the image
    for path in boxed.root.rglob("*"):
        assert path.lstat().st_uid == os.getuid(), path
    for secret in secrets:
        assert secret not in out + err
        assert _seen(secret, tmp_path) == []
    _see_layers(_image(told), secrets, tmp_path)

    down = boxed("teardown", "--name", "demo", "--yes", "--container")
    assert down.code == 0, down
    assert "no process, no port, no state" in down.err
    assert boxed("list", "--json").out.count('"gone"') == 1


def _see_the_seal(told: dict[str, object], cli: Cli) -> None:
    host = told["HostConfig"]
    assert isinstance(host, dict)
    assert host["ReadonlyRootfs"] and not host["Privileged"]
    assert told["EffectiveCaps"] in (None, [])
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["LogConfig"]["Type"] == "none"
    mounts = told["Mounts"]
    assert isinstance(mounts, list)
    binds = {m["Source"]: m["RW"] for m in mounts}
    assert {m["Type"] for m in mounts} == {"bind"}, "a volume is mounted"
    assert binds == {str(cli.root): False, str(cli.instance("demo")): True}


def _image(told: dict[str, object]) -> str:
    return str(told["ImageName"])


def _see_layers(name: str, secrets: list[str], scratch: Path) -> None:
    """Every layer, the image's configuration and its history."""
    saved = scratch / "image.tar"
    boxes.podman("save", "--output", str(saved), name)
    forms = [form for secret in secrets for form in spellings(secret)]
    with tarfile.open(saved) as outer:
        for member in outer:
            file = outer.extractfile(member)
            content = file.read() if file else b""
            assert not any(form in content for form in forms), member.name
    saved.unlink()
    about = boxes.podman("history", "--no-trunc", name) + boxes.podman("image", "inspect", name)
    assert not any(form.decode() in about for form in forms)
    config = json.loads(boxes.podman("image", "inspect", name))[0]["Config"]
    assert config["User"] == "65532:65532"
    assert not config.get("Volumes")
    assert config["Entrypoint"] == ["/opt/barehub/scripts/enter"]


def test_nothing_but_what_is_copied_goes_into_a_build(boxed: Cli, tmp_path: Path) -> None:
    places = (
        "secrets/plain.yaml",
        "instances/x/terraform.tfstate",
        "instances/x/main.tf",
        ".sops.yaml",
        "keys.txt",
        ".env",
        "id_ed25519",
        ".git/config",
        "terraform/provider/local/terraform.tfstate",
        "terraform/provider/local/.terraform/x.tfvars",
        "barehub/server.key",
    )
    for place in places:
        (boxed.root / place).parent.mkdir(parents=True, exist_ok=True)
        (boxed.root / place).write_text(CANARY)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    boxes.podman("build", "-q", "-t", "all", "-f", str(tmp_path / "Dockerfile"), str(boxed.root))
    try:
        _see_context(tmp_path)
    finally:
        boxes.podman("rmi", "all")


def _see_context(scratch: Path) -> None:
    boxes.podman("save", "--format", "docker-dir", "--output", str(scratch / "all"), "all")
    names: set[str] = set()
    for layer in (scratch / "all").iterdir():
        assert CANARY.encode() not in layer.read_bytes()
        if tarfile.is_tarfile(layer):
            with tarfile.open(layer) as files:
                names |= {name.split("/")[0] for name in files.getnames()}
    assert names == {"requirements.lock", "tasks.py", "barehub", "terraform", "scripts"}


def test_a_hub_outside_is_verified_from_inside(boxed: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert boxed("spawn", "--name", "demo", "--recipe", "local").code == 0
    boxed.env["BAREHUB_NETWORK"] = "host"
    verified = boxed("verify", "--name", "demo", "--json", "--container")
    assert verified.code == 0, verified
    assert json.loads(verified.out)["verdict"] == "pass"
    url = json.loads(boxed("list", "--json").out)[0]["endpoint"]
    listed = boxed(
        *("verify", "--file", "-", "--ca-file", str(boxed.instance("demo") / "hub/ca.pem")),
        *("--json", "--container"),
        input=url + "\n",
    )
    assert listed.code == 0, listed
    assert boxed("teardown", "--name", "demo", "--yes").code == 0


@pytest.fixture
def slow(boxed: Cli) -> Cli:
    slow_cloud.make(boxed.instance("demo"), "sleep 3")
    assert boxed("vault.init").code == 0
    assert boxed("vault.set", "variables.api_token", input=CANARY).code == 0
    return boxed


def test_a_person_at_a_terminal_sees_no_difference(slow: Cli) -> None:
    terminal = Terminal(slow, "spawn", "--name", "demo", "--timeout", "1", "--container")
    terminal.expect("creating terraform_data.machine")
    terminal.expect("0:00:02")
    assert terminal.end() == 8, terminal.text  # nothing listens at this recipe's endpoint
    assert "\x1b[32m✓" in terminal.raw

    typed = Terminal(slow, "teardown", "--name", "demo", "--container")
    typed.expect("type its name to go on:")
    typed.type("demo\n")
    assert typed.end() == 0, typed.text
    assert "✓ gone" in typed.text


def test_ctrl_c_at_a_terminal_ends_it_in_order(slow: Cli) -> None:
    terminal = Terminal(slow, "spawn", "--name", "demo", "--container")
    terminal.expect("creating terraform_data.machine")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert "terraform is asked to stop" in terminal.text, terminal.raw
    assert "error: spawn was interrupted" in terminal.text
    assert (slow.instance("demo") / "terraform.tfstate.sops").exists()
    assert not (slow.instance("demo") / ".lock").exists()


def test_a_terminal_that_goes_away_stops_nothing(slow: Cli) -> None:
    terminal = Terminal(slow, "spawn", "--name", "demo", "--timeout", "1", "--container")
    terminal.expect("creating terraform_data.machine")
    terminal.hang_up()
    assert terminal.child.wait(timeout=90) == 8
    assert (slow.instance("demo") / "log").read_text() == "provider\ndns\nbinderhub\n"


def test_who_has_the_instance_is_said_across_the_wall(slow: Cli) -> None:
    run = slow.start("spawn", "--name", "demo", "--container")
    name = running(slow)
    waited_for((slow.instance("demo") / "log").exists)
    second = slow("teardown", "--name", "demo", "--yes")
    assert second.code == 1, second
    assert f"@{name} (process" in second.err and "--name demo --wait" in second.err
    assert "not touched" in slow("clean").err
    assert mine(slow) == [name]
    os.kill(run.pid, signal.SIGTERM)
    run.communicate(timeout=60)
    assert run.returncode == 130


def test_exit_codes_are_those_of_the_command(slow: Cli) -> None:
    module = slow.instance("demo") / "modules" / "dns" / "main.tf"
    good = module.read_text()
    module.write_text(good.replace("echo dns", "exit 3; echo dns"))
    failed = slow("spawn", "--name", "demo", "--container")
    assert failed.code == 5, failed
    assert failed.err.count("error:") == 1
    module.write_text(good)
    asked = slow("teardown", "--name", "demo", "--container")
    assert asked.code == 1, asked
    assert "there is no terminal to ask on" in asked.err
    assert slow("teardown", "--name", "demo", "--yes", "--container").code == 0


def test_an_image_that_cannot_be_built_is_told(boxed: Cli) -> None:
    (boxed.root / "Dockerfile").write_text("FROM localhost/there-is-no-such-image\n")
    boxed.env[image.OPTIONS] = ""
    result = boxed("verify", "--url", "https://127.0.0.1:1", "--container")
    assert result.code == 3, result
    assert "there-is-no-such-image" in result.err and "podman build" in result.err


def test_a_released_tofu_that_is_not_the_one_is_not_taken(boxed: Cli, tmp_path: Path) -> None:
    """The stage that downloads it, with a mirror that serves something else."""
    version = Path(boxed.root / "scripts/install-tools").read_text().split('VERSION = "')[1]
    version = version.split('"')[0]
    folder = tmp_path / f"v{version}"
    folder.mkdir()
    for machine in ("amd64", "arm64"):
        (folder / f"tofu_{version}_linux_{machine}.zip").write_bytes(b"not a release")
    with subprocess.Popen(
        ["python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout
        port = server.stdout.readline().split()[5]
        argv = ["podman", "build", "--network=host", "--target=released", *options()[:2]]
        mirror = f"BAREHUB_RELEASES=http://127.0.0.1:{port}"
        done = subprocess.run(
            [*argv, "--build-arg", mirror, str(boxed.root)], capture_output=True, text=True
        )
        server.kill()
    assert done.returncode != 0
    assert "is not used: its SHA-256 is" in done.stdout + done.stderr


def test_the_cache_of_the_parser_is_shipped(boxed: Cli) -> None:
    """A read-only root could not keep it, and every run would take seconds more."""
    found = boxes.podman("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    ours = next(name for name in found if name.startswith("localhost/barehub:"))
    started = time.monotonic()
    code = "import hcl2; hcl2.loads('a = 1')"
    flags = [f"--ulimit={limit}" for limit in boxes.limits()]
    boxes.podman("run", "--rm", "--read-only", *flags, "--entrypoint", "python", ours, "-c", code)
    assert time.monotonic() - started < 5


def test_files_of_the_project_cannot_be_written_from_inside(slow: Cli) -> None:
    module = slow.instance("demo") / "modules" / "provider" / "main.tf"
    touch = f"touch {slow.root}/written || echo refused >> ${{path.root}}/log"
    module.write_text(module.read_text().replace("sleep 3", touch))
    assert slow("spawn", "--name", "demo", "--timeout", "1", "--container").code == 8
    assert "refused" in (slow.instance("demo") / "log").read_text()
    assert not (slow.root / "written").exists()
    mode = stat.S_IMODE((slow.instance("demo") / "journal.jsonl").stat().st_mode)
    assert mode == 0o644
    assert slow("teardown", "--name", "demo", "--yes", "--container").code == 0
