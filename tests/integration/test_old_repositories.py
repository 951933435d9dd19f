"""Repositories of the real git-crypt, read without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from barehub.errors import BarehubError, UsageError, VaultError
from barehub.migration.git_crypt import Key
from barehub.migration.old_repository import OldRepository
from barehub.migration.past import Past
from tests.conftest import MEMORY
from tests.old_repositories import ATTRIBUTES, Old

KINDS: dict[str, bytes | str] = {
    "secrets.yaml": "token: CANARY-a\n",
    "x.json": '{"token": "CANARY-b"}\n',
    ".env": "A=CANARY-c\n",
    "openrc.sh": "export OS_PASSWORD=CANARY-d\n",
    "keys_cc.sh": "export CLOUDFLARE_TOKEN='CANARY-e'\r\n",
    "id_rsa": "-----BEGIN NO KEY-----\n",
    "main.tf": 'token = "CANARY-f"\n',
    "binary": bytes(range(256)) * 40,
    "empty": b"",
    "one": b"x",
    "sixteen": b"0123456789abcdef",
    "seventeen": b"0123456789abcdefg",
    "large": os.urandom(9_000_000),
}
ODD = [b"with blank", b"-x", b"\"quote'", b"new\nline", b"\xff\xfe", "é".encode(), b"a/..b/c", b"*"]


@pytest.fixture
def old(own_home: Path, tmp_path: Path) -> Old:
    return Old(tmp_path / "old")


@pytest.fixture
def scratch(runtime_dir: Path) -> Iterator[Path]:
    yield runtime_dir
    assert list(runtime_dir.iterdir()) == [], "something was left in the scratch folder"


def read(folder: Path, scratch: Path, *files: Path) -> dict[str, bytes]:
    repository = OldRepository(folder, scratch)
    return {o.path: o.content for o in repository.originals(repository.keys(files))}


def past(folder: Path, scratch: Path, *files: Path) -> Past:
    repository = OldRepository(folder, scratch)
    keys = repository.keys(files)
    return repository.past(repository.originals(keys), keys, _names, lambda text: None)


def _names(path: str, content: bytes) -> list[str]:
    return [
        line.split(":")[0] for line in content.decode(errors="replace").split("\n") if ":" in line
    ]


def expected(files: dict[str, bytes | str]) -> dict[str, bytes]:
    return {k: v.encode() if isinstance(v, str) else v for k, v in files.items()}


def test_every_kind_of_file_byte_for_byte(old: Old, tmp_path: Path, scratch: Path) -> None:
    old.commit({**KINDS, "README.md": "not a secret\n"})
    key = old.key(tmp_path / "key")
    assert read(old.folder, scratch, key) == expected(KINDS)


def test_odd_file_names(old: Old, tmp_path: Path, scratch: Path) -> None:
    names = [os.fsdecode(name) for name in ODD]
    old.commit({name: f"CANARY {number}" for number, name in enumerate(names)})
    made = read(old.folder, scratch, old.key(tmp_path / "key"))
    assert made == {name: f"CANARY {number}".encode() for number, name in enumerate(names)}


def test_a_key_with_a_name_and_which_opens_what(old: Old, tmp_path: Path, scratch: Path) -> None:
    old.crypt("init", "-k", "ops")
    old.commit({"a": "CANARY-a", "b.ops": "CANARY-b", "README.md": "x"})
    default, ops = old.key(tmp_path / "key"), old.key(tmp_path / "ops", "ops")
    both = {"a": b"CANARY-a", "b.ops": b"CANARY-b"}
    assert read(old.folder, scratch, ops, default) == both
    repository = OldRepository(old.folder, scratch)
    for file, path in ((default, "a"), (ops, "b.ops")):
        originals = repository.originals(repository.keys([file]))
        assert [o.path for o in originals] == [path]
        assert repository.closed(originals) == [p for p in both if p != path]


@pytest.mark.parametrize("state", ["unlocked", "dirty", "locked", "bare", "sub", "detached"])
def test_the_work_tree_does_not_matter(state: str, old: Old, tmp_path: Path, scratch: Path) -> None:
    old.commit({"sub/a": "CANARY-a", "b": "CANARY-b"})
    key = old.key(tmp_path / "key")
    folder = old.folder
    if state == "dirty":
        (folder / "b").write_text("other")
        (folder / "sub/a").unlink()
        (folder / "new").write_text("x")
        old.git("add", "new")
    elif state == "locked":
        old.crypt("lock")
    elif state == "bare":
        folder = tmp_path / "bare.git"
        old.git("clone", "-q", "--bare", ".", str(folder))
    elif state == "sub":
        folder = folder / "sub"
    elif state == "detached":
        old.git("checkout", "-q", "--detach")
    before = _listing(folder)
    assert read(folder, scratch, key) == {"sub/a": b"CANARY-a", "b": b"CANARY-b"}
    assert _listing(folder) == before


def _listing(folder: Path) -> dict[str, float]:
    return {str(p): p.lstat().st_mtime for p in folder.rglob("*")}


def test_no_program_of_the_repository_runs(old: Old, tmp_path: Path, scratch: Path) -> None:
    old.commit({"a": "CANARY-a"})
    key = old.key(tmp_path / "key")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    program.chmod(0o755)
    for hook in ("post-index-change", "reference-transaction", "post-checkout"):
        (old.folder / ".git/hooks").mkdir(exist_ok=True)
        (old.folder / ".git/hooks" / hook).symlink_to(program)
    for name in (
        "filter.git-crypt.smudge",
        "filter.git-crypt.clean",
        "diff.git-crypt.textconv",
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "gpg.program",
        "diff.external",
        "core.alternateRefsCommand",
    ):
        old.git("config", name, str(program))
    for name, value in (
        ("log.showSignature", "true"),
        ("log.showRoot", "false"),
        ("diff.relative", "true"),
        ("core.splitIndex", "true"),
        ("remote.origin.url", f"ext::{program} %S"),
        ("protocol.ext.allow", "always"),
    ):
        old.git("config", name, value)
    (tmp_path / "ran").unlink(missing_ok=True)
    before = _listing(old.folder)
    past(old.folder, scratch, key)
    assert _listing(old.folder) == before
    assert not (tmp_path / "ran").exists()
    old.git("status")
    assert (tmp_path / "ran").exists(), "the trap works"
    (tmp_path / "ran").unlink()
    old.git("config", "remote.origin.promisor", "true")
    fails("is a partial clone", old.folder, scratch, key)
    assert not (tmp_path / "ran").exists()


def _remove_blob(old: Old, commit: str, path: str) -> None:
    id = old.git("rev-parse", f"{commit}:{path}").decode().strip()
    (old.folder / ".git/objects" / id[:2] / id[2:]).unlink()


def test_a_blob_that_is_missing_is_named(old: Old, tmp_path: Path, scratch: Path) -> None:
    _remove_blob(old, old.commit({"a": "CANARY-a", "b": "CANARY-b"}), "b")
    with pytest.raises(VaultError, match="b is missing in "):
        read(old.folder, scratch, old.key(tmp_path / "key"))


def test_what_should_be_encrypted_and_is_not(own_home: Path, tmp_path: Path, scratch: Path) -> None:
    old = Old(tmp_path / "old", attributes="/a filter=git-crypt\n/late filter=git-crypt\n")
    old.commit({"a": "CANARY-a", "sub/x.md": "no secret", "sub/late": "no secret"})
    old.commit_blob("late", b"CANARY-late")
    repository = OldRepository(old.folder / "sub", scratch)
    originals = repository.originals(repository.keys([old.key(tmp_path / "key")]))
    assert {o.path: o.clear for o in originals} == {"a": False, "late": True}


def test_an_empty_file_is_not_in_clear(old: Old, tmp_path: Path, scratch: Path) -> None:
    """Older versions of git-crypt do not encrypt it."""
    old.commit({"a": "CANARY-a"})
    old.commit_blob("void", b"")
    repository = OldRepository(old.folder, scratch)
    originals = repository.originals(repository.keys([old.key(tmp_path / "key")]))
    assert {o.path: o.clear for o in originals} == {"a": False, "void": False}


def test_a_blob_that_only_history_lacks(old: Old, tmp_path: Path, scratch: Path) -> None:
    _remove_blob(old, old.commit({"a": "CANARY-1"}), "a")
    old.commit({"a": "CANARY-2"})
    assert past(old.folder, scratch, old.key(tmp_path / "key")).incomplete


def test_links_and_submodules_are_no_files(old: Old, tmp_path: Path, scratch: Path) -> None:
    (old.folder / "link").symlink_to("a")
    old.commit({"a": "CANARY-a"})
    id = old.git("rev-parse", "HEAD").decode().strip()
    old.git("update-index", "--add", "--cacheinfo", f"160000,{id},module")
    old.git("commit", "-q", "-m", "A submodule")
    assert list(read(old.folder, scratch, old.key(tmp_path / "key"))) == ["a"]


def fails(said: str, folder: Path, scratch: Path, *keys: Path) -> BarehubError:
    with pytest.raises(BarehubError) as caught:
        past(folder, scratch, *keys)
    assert said in caught.value.problem, caught.value.problem
    assert "CANARY" not in str(caught.value)
    assert caught.value.hints
    return caught.value


def test_what_is_no_repository(own_home: Path, tmp_path: Path, scratch: Path) -> None:
    assert isinstance(fails("is not a folder", tmp_path / "no", scratch), UsageError)
    (tmp_path / "plain").mkdir()
    fails("is not a git repository", tmp_path / "plain", scratch)
    empty = Old(tmp_path / "empty", init=False)
    fails("has no commit", empty.folder, scratch)
    empty.commit({"a": "x"})
    fails("has no key for GPG users in it", empty.folder, scratch)
    other = Old(tmp_path / "other")
    fails("no file in the last commit", empty.folder, scratch, other.key(tmp_path / "key"))


def test_wrong_keys(old: Old, tmp_path: Path, scratch: Path) -> None:
    old.commit({"a": "CANARY-a"})
    key = old.key(tmp_path / "key")
    wrong = Old(tmp_path / "other").key(tmp_path / "wrong")
    fails("it is another repository's key, or the files are damaged", old.folder, scratch, wrong)
    fails(f"{wrong} opens nothing", old.folder, scratch, key, wrong)
    old.crypt("init", "-k", "ops")
    named = old.key(tmp_path / "ops", "ops")
    fails("they are under the key default", old.folder, scratch, named)
    fails("--key is needed", old.folder, scratch).hints[0].startswith("--key ")


@pytest.mark.parametrize("at", [12, 22, 25, -1])
def test_a_changed_byte_is_found(at: int, old: Old, tmp_path: Path, scratch: Path) -> None:
    old.commit({"a": "CANARY-a", "b": "CANARY-b"})
    blob = bytearray(old.blob("a"))
    blob[at] ^= 1
    old.commit_blob("a", bytes(blob))
    key = old.key(tmp_path / "key")
    fails("a in ", old.folder, scratch, key)
    assert "was tampered with" in fails("a in ", old.folder, scratch, key).problem


@pytest.mark.parametrize("length", [9, 10, 21])
def test_a_truncated_file_is_found(length: int, old: Old, tmp_path: Path, scratch: Path) -> None:
    old.commit({"a": "CANARY-a", "b": "CANARY-b"})
    old.commit_blob("a", old.blob("a")[:length])
    fails(f"is truncated: {length} bytes", old.folder, scratch, old.key(tmp_path / "key"))


def test_a_file_cut_behind_its_header_is_found(old: Old, tmp_path: Path, scratch: Path) -> None:
    old.commit({"a": "CANARY-a", "b": "CANARY-b"})
    old.commit_blob("a", old.blob("a")[:-3])
    fails("was tampered with", old.folder, scratch, old.key(tmp_path / "key"))


def test_what_only_history_has(old: Old, tmp_path: Path, scratch: Path) -> None:
    first = old.commit({"a": "one: CANARY-1\ntwo: CANARY-2\n", "gone": "three: CANARY-3\n"})
    old.commit({"a": "one: CANARY-4\n", "moved": "CANARY-moved"})
    old.git("rm", "-q", "gone")
    old.git("mv", "moved", "there")
    old.commit({})
    old.git("checkout", "-q", "-b", "side")
    side = old.commit({"side": "four: CANARY-5\n"})
    old.git("checkout", "-q", "main")
    found = past(old.folder, scratch, old.key(tmp_path / "key"))
    deleted = {v.path: v.commit for v in found.deleted}
    assert deleted == {"gone": first, "side": side}
    assert found.earlier["a", "two"].commit == first
    assert found.earlier["a", "one"].commit != first
    assert ("gone", "three") in found.earlier
    assert found.exposed == []
    assert not found.incomplete


def test_what_history_holds_in_clear(old: Old, tmp_path: Path, scratch: Path) -> None:
    (old.folder / ".gitattributes").unlink()
    first = old.commit({"a": "one: CANARY-1\n", "harmless": "CANARY-harmless"})
    old.git("rm", "-q", "harmless")
    second = old.commit({"a": "one: CANARY-2\n"})
    (old.folder / ".gitattributes").write_text(ATTRIBUTES)
    old.commit({"a": "one: CANARY-3\n", "b": "two: CANARY-copied\n", "empty": ""})
    copied = old.commit({"notes.md": "two: CANARY-copied\n"})
    old.git("checkout", "-q", "-b", "side")
    evil = old.commit({"old.md": "one: CANARY-3\n"})
    old.git("checkout", "-q", "main")
    old.commit({"a": "one: CANARY-4\n"})
    found = past(old.folder, scratch, old.key(tmp_path / "key"))
    told = {
        e.first.path: (e.first.commit, e.last.commit, e.count, e.copy_of) for e in found.exposed
    }
    assert told == {
        "a": (first, second, 2, ""),
        "notes.md": (copied, copied, 1, "b"),
        "old.md": (evil, evil, 1, "a"),
    }


def test_what_only_a_merge_brought(old: Old, tmp_path: Path, scratch: Path) -> None:
    old.commit({"a": "CANARY-1"})
    old.git("checkout", "-q", "-b", "side")
    old.commit({"b": "CANARY-2"})
    old.git("checkout", "-q", "main")
    old.commit({"c": "CANARY-3"})
    old.git("merge", "-q", "--no-commit", "side")
    merge = old.commit({"evil.md": "CANARY-1"}, "Merge")
    found = past(old.folder, scratch, old.key(tmp_path / "key"))
    assert [(e.first.path, e.first.commit) for e in found.exposed] == [("evil.md", merge)]


def test_a_shallow_clone_is_told(old: Old, tmp_path: Path, scratch: Path) -> None:
    old.commit({"a": "CANARY-1"})
    old.commit({"a": "CANARY-2"})
    clone = tmp_path / "clone"
    old.git("clone", "-q", "--depth=1", f"file://{old.folder}", str(clone))
    assert past(clone, scratch, old.key(tmp_path / "key")).incomplete
    assert read(clone, scratch, old.key(tmp_path / "key2")) == {"a": b"CANARY-2"}


def test_versions_under_a_lost_key_are_counted(old: Old, tmp_path: Path, scratch: Path) -> None:
    old.crypt("init", "-k", "ops")
    old.commit({"a": "CANARY-1", "b.ops": "CANARY-2"})
    found = past(old.folder, scratch, old.key(tmp_path / "key"))
    assert found.unread == 1


def test_a_repository_of_sha_256(own_home: Path, tmp_path: Path, scratch: Path) -> None:
    folder = tmp_path / "sha256"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", folder], check=True)
    old = Old(folder)
    old.commit({"a": "CANARY-1"})
    old.commit({"x.md": "CANARY-1"})
    found = past(old.folder, scratch, old.key(tmp_path / "key"))
    assert [e.first.path for e in found.exposed] == ["x.md"]


def gpg(home: Path, *argv: str, input: bytes = b"") -> str:
    done = subprocess.run(
        ["gpg", "--batch", "--quiet", *argv],
        env={**os.environ, "GNUPGHOME": str(home)},
        input=input,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


@pytest.fixture(scope="module")
def gnupg_home() -> Iterator[Path]:
    """A GnuPG home with keys of alice, of carol, and of bob with a passphrase; its agent is ended.

    On tmpfs, where names are short: that of a socket may not be long (unix(7)).
    """
    home = Path(tempfile.mkdtemp(prefix="barehub-gpg-", dir=MEMORY))
    for name in ("alice", "bob", "carol"):
        word = "CANARY-passphrase" if name == "bob" else ""
        make = ("--passphrase", word, "--quick-gen-key", f"{name}@example.org", "future-default")
        gpg(home, "--pinentry-mode", "loopback", *make, "default", "never")
    yield home
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def gnupg(gnupg_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That home as ours, without a terminal or a screen to ask on."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "GPG_TTY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GNUPGHOME", str(gnupg_home))
    restart_agent()
    return gnupg_home


@pytest.fixture
def gpg_scratch(runtime_dir: Path) -> Path:
    folder = runtime_dir / "scratch"
    folder.mkdir()
    return folder


def restart_agent() -> None:
    """Let the agent forget passphrases."""
    subprocess.run(["gpgconf", "--kill", "all"], check=True)


def test_the_keys_of_gpg_users(old: Old, gnupg: Path, gpg_scratch: Path) -> None:
    old.crypt("init", "-k", "ops")
    for user in ("bob", "alice"):
        old.crypt("add-gpg-user", "--trusted", f"{user}@example.org")
    old.crypt("add-gpg-user", "--trusted", "-k", "ops", "alice@example.org")
    old.commit({"a": "CANARY-a", "b.ops": "CANARY-b"})
    restart_agent()
    assert read(old.folder, gpg_scratch) == {"a": b"CANARY-a", "b.ops": b"CANARY-b"}
    repository = OldRepository(old.folder, gpg_scratch)
    keys = {key.name: key for key in repository.keys([])}
    assert set(keys) == {"default", "ops"}
    assert isinstance(keys["ops"], Key)
    assert len(past(old.folder, gpg_scratch).users) == 2


def test_a_passphrase_without_a_terminal(old: Old, gnupg: Path, gpg_scratch: Path) -> None:
    old.crypt("add-gpg-user", "--trusted", "bob@example.org")
    old.commit({"a": "CANARY-a"})
    restart_agent()
    error = fails("a passphrase is needed, and there is no terminal", old.folder, gpg_scratch)
    assert "| gpg --decrypt > /dev/null" in error.hints[0]


def test_a_stranger_and_no_gpg_at_all(
    old: Old, gnupg: Path, gpg_scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old.crypt("add-gpg-user", "--trusted", "carol@example.org")
    old.commit({"a": "CANARY-a"})
    fingerprint = gpg(gnupg, "--with-colons", "-K", "carol@example.org")
    (message,) = old.folder.rglob("*.gpg")
    assert message.stem in fingerprint
    gpg(gnupg, "--yes", "--delete-secret-keys", message.stem)
    error = fails("you have none of their private keys", old.folder, gpg_scratch)
    assert message.stem in error.problem
    bare = gpg_scratch.parent / "bin"
    bare.mkdir()
    (bare / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(bare))
    fails("gpg was not found", old.folder, gpg_scratch)


def test_a_message_that_is_none(old: Old, gnupg: Path, gpg_scratch: Path) -> None:
    old.commit({"a": "CANARY-a", ".git-crypt/.gitattributes": "* !filter\n"})
    old.commit_blob(".git-crypt/keys/default/0/ABCDEF.gpg", b"no message")
    fails("that is no message that gpg can read", old.folder, gpg_scratch)


def test_a_key_file_of_the_old_format(old: Old, tmp_path: Path, scratch: Path) -> None:
    """`git-crypt migrate-key` is what the error says: it makes a file that is read."""
    old.commit({"a": "CANARY-a"})
    key = old.key(tmp_path / "key").read_bytes()
    legacy, new = tmp_path / "legacy", tmp_path / "new"
    legacy.write_bytes(key[40:72] + key[80:144])
    fails("the format before 0.4", old.folder, scratch, legacy)
    old.crypt("migrate-key", str(legacy), str(new))
    assert read(old.folder, scratch, new) == {"a": b"CANARY-a"}
