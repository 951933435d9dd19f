"""The verbs of the vault: `invoke vault.…`."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context

from barehub.tasks.verb import interruptions, project, vault, verb


@verb()
def init(c: Context) -> None:
    """Make the vault: an age identity, .sops.yaml and secrets/shared.yaml.

    Example: invoke vault.init
    """
    from barehub.console import console

    with vault() as store:
        existed = store.exists
        identity = store.init()
    console.step("vault", "was there already" if existed else "made secrets/shared.yaml")
    console.step("identity", f"{identity.recipient}, from {identity.source}")


@verb(
    name="set",
    positional=["key"],
    help={
        "key": "where the value goes: environment.OS_PASSWORD, variables.docker_password, …",
        "name": "the instance that it is for (default: all, secrets/shared.yaml)",
    },
)
def set_(c: Context, key: str, name: str = "") -> None:
    """Store one secret, read from a hidden prompt or from standard input.

    Example: invoke vault.set environment.OS_PASSWORD < password.txt
    """
    from barehub.console import console

    with vault() as store:
        file = store.file(_checked(name))
        store.check_key(key)
        _warn_of_unknown(name)
        store.update(file, {key: console.secret(key)})
    console.step("vault", f"{key} is in {project().relative(file)}")


@verb(positional=["file"], help={"file": "secrets/NAME.yaml, as it stands in clear"})
def encrypt(c: Context, file: str) -> None:
    """Encrypt a secrets file that stands there in clear, in its place.

    Example: invoke vault.encrypt secrets/demo.yaml
    """
    from barehub.console import console

    with vault() as store:
        store.encrypt(Path(file).absolute())
    console.step("vault", f"{file} is encrypted")
    console.say("what it holds was in clear on this disk: reissue it if others could read that")


@verb(help={"name": "the instance (default: what all share, secrets/shared.yaml)"})
def edit(c: Context, name: str = "") -> None:
    """Edit a secrets file in your editor; its plaintext stays in memory.

    Example: invoke vault.edit --name demo
    """
    from barehub.console import console

    with vault() as store:
        file = store.file(_checked(name))
        changed = store.edit(file)
    console.step("vault", f"{project().relative(file)} {'changed' if changed else 'is unchanged'}")


@verb(
    help={
        "name": "the instance (default: what all share)",
        "reveal": "print the values, too",
        "json": "one JSON document on stdout",
    },
)
def show(c: Context, name: str = "", reveal: bool = False, json: bool = False) -> None:
    """Show which secrets there are, their values masked.

    Example: invoke vault.show --name demo
    """
    from barehub import overview

    _warn_of_unknown(name)
    with vault() as store:
        leaves = store.read(_checked(name)).leaves()
    overview.show_secrets(leaves, reveal=reveal, as_json=json)


@verb(
    help={
        "staged": "look at the git index alone, and say nothing if all is well",
        "json": "one JSON document on stdout",
    },
)
def check(c: Context, staged: bool = False, json: bool = False) -> None:
    """See that git gets no secret but encrypted, to its readers; needs no key.

    Example: invoke vault.check
    """
    from barehub import overview
    from barehub.console import console
    from barehub.vault import git_copy, hooks

    for line in hooks.outdated(project().root):
        console.warn(line)
        console.hint(git_copy.RENEW)
    overview.check_vault(project().root, staged=staged, as_json=json)


@verb(help={"remove": "take everything out again"})
def install_hooks(c: Context, remove: bool = False) -> None:
    """Have git check every commit, and merge and show secrets by key.

    Example: invoke vault.install-hooks
    """
    from barehub.console import console
    from barehub.vault.hooks import Hooks

    hooks = Hooks(project().root)
    for line in hooks.remove() if remove else hooks.install():
        console.say(f"  {line}")
    console.step("git", "is as it was" if remove else "looks at the vault from now on")
    for line in () if remove else hooks.changeable():
        console.warn(line)


@verb(
    positional=[],
    iterable=["key"],
    help={
        "repo": "a clone of the repository that git-crypt protects; only its commits are read",
        "key": "a key file of git-crypt; may be given again (default: your GPG key)",
        "into": "the instance that it is for (default: all, secrets/shared.yaml)",
        "replace": "where the vault has other values, take the imported ones",
        "json": "one JSON document on stdout",
    },
)
def import_git_crypt(
    c: Context,
    key: list[str],
    repo: str = "",
    into: str = "",
    replace: bool = False,
    json: bool = False,
) -> None:
    """Take over what git-crypt protects, and list what must be reissued.

    Example: invoke vault.import-git-crypt --repo ../old --key ../git-crypt-key --into demo
    """
    from barehub.errors import UsageError
    from barehub.migration import importing
    from barehub.migration.plan import Wish

    if not repo:
        raise UsageError("--repo is needed", "invoke vault.import-git-crypt --help")
    instance = project().instance(into) if into else None
    wish = Wish(Path(repo), [Path(file) for file in key], instance, replace, json)
    with vault() as store:
        importing.run(project(), store, wish, interruptions())


@verb(positional=["file"], help={"file": "a file under secrets/files/"})
def cat(c: Context, file: str) -> None:
    """Print what an encrypted file holds, byte for byte.

    Example: invoke vault.cat secrets/files/demo/registry.p12.sops > /dev/shm/registry.p12
    """
    from barehub import overview

    with vault() as store:
        overview.show_kept(store, Path(file))


@verb(help={"json": "one JSON document on stdout"})
def recipients(c: Context, json: bool = False) -> None:
    """Show who can read which file, and whether .sops.yaml says so; needs no key.

    Example: invoke vault.recipients
    """
    from barehub import readers

    readers.show(project().root, as_json=json)


@verb(
    positional=["name", "key"],
    help={
        "name": "what to call the person or machine; CI's begins with ci",
        "key": "their age or SSH public key (in quotes), a .pub file, or a key service: its ARN",
    },
)
def add_recipient(c: Context, name: str, key: str) -> None:
    """Let one more person or machine read the vault.

    Example: invoke vault.add-recipient alice age1…
    Example: invoke vault.add-recipient bob ~/.ssh/id_ed25519.pub
    Example: invoke vault.add-recipient ci-aws arn:aws:kms:…
    """
    from barehub import readers

    with vault() as store:
        readers.add(store, name, key)


@verb(
    positional=["name"],
    help={"name": "as vault.recipients shows it, or the key", "force": "even if it is you, or CI"},
)
def remove_recipient(c: Context, name: str, force: bool = False) -> None:
    """Take a reader out of every file, and list what they have seen.

    Example: invoke vault.remove-recipient alice
    """
    from barehub import readers

    with vault() as store:
        readers.remove(store, name, force=force)


@verb()
def rotate(c: Context) -> None:
    """Encrypt every file anew, with new data keys, for the same readers.

    Example: invoke vault.rotate
    """
    from barehub import readers

    with vault() as store:
        readers.rotate(store)


@verb(
    help={"dry-run": "only say what would be done", "force": "even if you lose access"},
)
def sync(c: Context, dry_run: bool = False, force: bool = False) -> None:
    """Bring every file to the readers of .sops.yaml.

    Example: invoke vault.sync --dry-run
    """
    from barehub import readers

    with vault() as store:
        readers.sync(store, dry_run=dry_run, force=force)


@verb(help={"new": "make a new identity instead of being given one"})
def login(c: Context, new: bool = False) -> None:
    """Keep an age identity in the OS keyring, read from a hidden prompt or from standard input.

    Example: invoke vault.login < keys.txt
    Example: invoke vault.login --new
    """
    from barehub import whoami

    whoami.login(project().root, new=new)


@verb(help={"yes": "do not ask, though it may be the only copy"})
def logout(c: Context, yes: bool = False) -> None:
    """Remove barehub's identities from the OS keyring.

    Example: invoke vault.logout
    """
    from barehub import whoami

    whoami.logout(agreed=yes)


@verb(help={"json": "one JSON document on stdout"})
def whoami(c: Context, json: bool = False) -> None:
    """Say which identity answers, from where, and which files it opens.

    Example: invoke vault.whoami
    """
    from barehub import whoami

    whoami.show(project().root, as_json=json)


def _warn_of_unknown(name: str) -> None:
    from barehub.console import console

    if name and not project().instance(name).recipe.exists():
        console.warn(f"there is no instance {name} yet")


def _checked(name: str) -> str | None:
    return project().instance(name).name if name else None
