"""The command line of barehub: one invoke task a verb.

Only invoke is imported here, so that `invoke --list` costs what bare invoke costs.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

if TYPE_CHECKING:
    from barehub.process import Interruptions
    from barehub.project import Project
    from barehub.vault.store import Vault

NAME = "the instance: a DNS label, a folder under instances/"


def verb(**options: Any) -> Callable[[Callable[..., None]], Task[Any]]:
    """A task whose body runs under our rules for signals, secrets and errors."""

    def decorate(body: Callable[..., None]) -> Task[Any]:
        @functools.wraps(body)
        def run(context: Context, *args: Any, **kwargs: Any) -> None:
            with _ruled():
                body(context, *args, **kwargs)

        made: Task[Any] = task(**options)(run)
        return made

    return decorate


@contextmanager
def _ruled() -> Iterator[None]:
    # Ctrl-C while modules load: Python may drop a KeyboardInterrupt in there
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from barehub import process
    from barehub.console import console
    from barehub.errors import BarehubError, UsageError

    global interruptions
    interruptions = process.Interruptions()
    console.outlive_terminal()
    process.harden()
    try:
        try:
            # after our own end: what is printed and the exit code then tell what came of it
            for number in interruptions.SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            with interruptions.installed():
                _begin()
                yield
                interruptions.check()
        except OSError as error:
            if error.errno not in process.A_PERSON_CAN_MEND:
                raise
            what = error.filename or "a file"
            said = os.strerror(error.errno).lower()
            raise UsageError(f"{what}: {said}", f"ls -ld {what}") from None
    except BarehubError as error:
        error.message = console.redact(str(error))
        console.annotate("error", error.problem)
        raise


interruptions: Interruptions


def _begin() -> None:
    """Take the identity out of our environment; save and remove what killed runs left."""
    from barehub import session
    from barehub.vault import identity

    identity.take_from_environment()
    if session.present():
        from barehub import run

        run.swept()


def project() -> Project:
    from barehub.project import Project

    return Project(Path(__file__).resolve().parent)


@contextmanager
def vault() -> Iterator[Vault]:
    """The vault, with a session of its own for what must not touch a disk."""
    from barehub import session
    from barehub.vault.store import Vault

    root = project().root
    with interruptions.held():
        own = session.create(session.Purpose(str(root), None, "vault"))
        try:
            with interruptions.allowed():
                yield Vault(root, own.folder)
        finally:
            own.close()


# The three commands


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "recipe": "make instances/NAME/main.tf from terraform/recipes/RECIPE.tf if there is none",
        "yes": "do not ask before something that exists is replaced or destroyed",
        "timeout": "seconds that the endpoint may take to become ready (900)",
    }
)
def spawn(
    c: Context, name: str = "", recipe: str = "", yes: bool = False, timeout: str = "900"
) -> None:
    """Make a BinderHub, or bring it up to its recipe, and verify it.

    Prints the endpoint on stdout when the hub is up, and nothing before.

    Example: invoke spawn --name demo --recipe local
    """
    from barehub import pipeline
    from barehub.console import console

    name = name or _only("spawn")
    endpoint = pipeline.spawn(
        project(),
        name,
        recipe=recipe or None,
        interruptions=interruptions,
        agreed=yes,
        seconds=_seconds(timeout),
    )
    console.exact(endpoint)
    console.say(f"stop it with: invoke teardown --name {name}")


@verb(
    help={
        "name": f"{NAME} (default: every living one)",
        "all": "every living instance, as without any name",
        "url": "an endpoint that is no instance of ours, https://…",
        "file": "a list of endpoints, one https://… a line; - for standard input",
        "ca-file": "trust this CA certificate (PEM) and no other",
        "connect-to": "HOST or HOST:PORT of the machine: look at it, too, past DNS and proxies",
        "vantage": "edge (through DNS) or origin (--connect-to) alone",
        "jupyterhub": "where its JupyterHub is: a path like /jupyter/, or a URL",
        "resolver": "HOST or HOST:PORT of the DNS server to ask",
        "wait": "until it is ready, or --timeout seconds have gone by",
        "timeout": "seconds to wait (900)",
        "launch": "build and launch a repository, run 1+1 in it, and stop it again",
        "repo": "the repository to launch: its GitHub address, or PROVIDER/SPEC",
        "strict": "a warning is a failure",
        "json": "one JSON document on stdout",
        "junit": "write a JUnit report to this file",
        "prometheus": "write metrics to this file, for node_exporter's textfile collector",
        "html": "write a page to this file",
    }
)
def verify(
    c: Context,
    name: str = "",
    all: bool = False,
    url: str = "",
    file: str = "",
    ca_file: str = "",
    connect_to: str = "",
    vantage: str = "",
    resolver: str = "",
    wait: bool = False,
    timeout: str = "900",
    launch: bool = False,
    repo: str = "",
    strict: bool = False,
    json: bool = False,
    jupyterhub: str = "",
    junit: str = "",
    prometheus: str = "",
    html: str = "",
) -> None:
    """Is the hub there, is it a BinderHub, is its TLS right; and if not, why.

    Example: invoke verify --name demo
    Example: invoke verify --url https://binder.example.org --json
    Example: invoke verify --file endpoints.txt --html report.html
    """
    from barehub import checking

    checking.check(
        project(),
        checking.Wish(
            name=name,
            all=all,
            url=url,
            file=file,
            ca_file=ca_file,
            connect_to=connect_to,
            vantage=vantage,
            hub=jupyterhub,
            resolver=resolver,
            seconds=_seconds(timeout) if wait else 0,
            launch=launch,
            repo=repo,
            strict=strict,
            json=json,
            files={"junit": junit, "prometheus": prometheus, "html": html},
        ),
        interruptions,
    )


@verb(
    help={"name": f"{NAME} (default: the only one)", "yes": "do not ask for the name to be typed"}
)
def teardown(c: Context, name: str = "", yes: bool = False) -> None:
    """Destroy a hub in reverse order, and prove that nothing of it is left.

    Example: invoke teardown --name demo --yes
    """
    from barehub import pipeline

    pipeline.teardown(project(), name or _only("teardown"), interruptions=interruptions, agreed=yes)


def _seconds(text: str) -> float:
    from barehub.errors import UsageError

    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(f"--timeout {text} is no number of seconds", "--timeout 900")
    return float(text)


def _only(command: str) -> str:
    """The only instance there is, for a command that was given no name."""
    from barehub.console import console
    from barehub.errors import UsageError

    instances = project().instances()
    alive = [i for i in instances if i.living] if command == "teardown" else []
    names = [instance.name for instance in alive or instances]
    if len(names) == 1:
        return names[0]
    if names and console.interactive:
        return console.ask(f"which instance ({', '.join(names)})?", names)
    if not names:
        raise UsageError("there are no instances", "invoke spawn --name demo --recipe local")
    raise UsageError(
        f"{command} needs --name, one of: {', '.join(names)}",
        f"invoke {command} --name {names[0]}",
    )


# The rest


@verb(name="list", help={"json": "one JSON document on stdout"})
def list_(c: Context, json: bool = False) -> None:
    """Show the instances with their state, endpoint and age.

    Example: invoke list --json
    """
    from barehub import overview

    overview.show(project().instances(), as_json=json)


@verb(help={"json": "one JSON document on stdout"})
def doctor(c: Context, json: bool = False) -> None:
    """Say what this machine has and lacks, each with its fix.

    Example: invoke doctor
    """
    from barehub import doctor

    doctor.show(project(), as_json=json)


@verb()
def clean(c: Context) -> None:
    """Remove what killed runs left on this machine, and say what it was.

    Example: invoke clean
    """
    from barehub import session
    from barehub.console import console
    from barehub.errors import LeftoverError

    # every command sweeps first, and says what it removed, or why it could not
    living = session.living()
    for holder in living:
        what = "is at work" if holder.alive else "was killed, and what it started is still at work"
        console.say(f"not touched: the session of {holder}, which {what}")
    if dead := len(session.present()) - len(living):
        raise LeftoverError(
            f"{dead} sessions of killed runs could not be removed: the warnings above say why",
            f"ls {session.home()}",
        )
    if all(holder.alive for holder in living):
        console.step("clean", "nothing of a killed run is left")


# The vault


@verb(name="init")
def vault_init(c: Context) -> None:
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
def vault_set(c: Context, key: str, name: str = "") -> None:
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


@verb(
    name="encrypt", positional=["file"], help={"file": "secrets/NAME.yaml, as it stands in clear"}
)
def vault_encrypt(c: Context, file: str) -> None:
    """Encrypt a secrets file that stands there in clear, in its place.

    Example: invoke vault.encrypt secrets/demo.yaml
    """
    from barehub.console import console

    with vault() as store:
        store.encrypt(Path(file).absolute())
    console.step("vault", f"{file} is encrypted")
    console.say("what it holds was in clear on this disk: reissue it if others could read that")


@verb(name="edit", help={"name": "the instance (default: what all share, secrets/shared.yaml)"})
def vault_edit(c: Context, name: str = "") -> None:
    """Edit a secrets file in your editor; its plaintext stays in memory.

    Example: invoke vault.edit --name demo
    """
    from barehub.console import console

    with vault() as store:
        file = store.file(_checked(name))
        changed = store.edit(file)
    console.step("vault", f"{project().relative(file)} {'changed' if changed else 'is unchanged'}")


@verb(
    name="show",
    help={
        "name": "the instance (default: what all share)",
        "reveal": "print the values, too",
        "json": "one JSON document on stdout",
    },
)
def vault_show(c: Context, name: str = "", reveal: bool = False, json: bool = False) -> None:
    """Show which secrets there are, their values masked.

    Example: invoke vault.show --name demo
    """
    from barehub import overview

    _warn_of_unknown(name)
    with vault() as store:
        leaves = store.read(_checked(name)).leaves()
    overview.show_secrets(leaves, reveal=reveal, as_json=json)


@verb(
    name="check",
    help={
        "staged": "look at the git index alone, and say nothing if all is well",
        "json": "one JSON document on stdout",
    },
)
def vault_check(c: Context, staged: bool = False, json: bool = False) -> None:
    """See that git gets no secret but encrypted, to its readers; needs no key.

    Example: invoke vault.check
    """
    from barehub import overview

    overview.check_vault(project().root, staged=staged, as_json=json)


@verb(name="install-hooks", help={"remove": "take everything out again"})
def vault_install_hooks(c: Context, remove: bool = False) -> None:
    """Have git check every commit, and merge and show secrets by key.

    Example: invoke vault.install-hooks
    """
    from barehub.console import console
    from barehub.vault.hooks import Hooks

    hooks = Hooks(project().root)
    for line in hooks.remove() if remove else hooks.install():
        console.say(f"  {line}")
    console.step("git", "is as it was" if remove else "looks at the vault from now on")


@verb(name="git-merge", positional=["base", "ours", "theirs", "path"])
def vault_git_merge(
    c: Context, base: str, ours: str, theirs: str, path: str, virtual: bool = False
) -> None:
    """Called by git: merge a secrets file by key.

    Example: invoke vault.git-merge BASE OURS THEIRS secrets/shared.yaml
    """
    from barehub.vault import merge_driver
    from barehub.vault.sops import Sops

    with vault() as store:
        name = project().relative(Path(path).absolute())
        sops = Sops(store.root, store.scratch)
        merge_driver.drive(sops, name, Path(base), Path(ours), Path(theirs), virtual=virtual)


@verb(name="git-diff", positional=["path"])
def vault_git_diff(c: Context, path: str) -> None:
    """Called by git: show a secrets file by key.

    Example: invoke vault.git-diff secrets/shared.yaml
    """
    from barehub.console import console
    from barehub.vault import diff_driver
    from barehub.vault.sops import Sops

    with vault() as store:
        console.exact(diff_driver.text(Sops(store.root, store.scratch, ask=False), Path(path)))


@verb(
    name="import-git-crypt",
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
def vault_import_git_crypt(
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
    from barehub import importing
    from barehub.errors import UsageError
    from barehub.import_plan import Wish

    if not repo:
        raise UsageError("--repo is needed", "invoke vault.import-git-crypt --help")
    instance = project().instance(into) if into else None
    wish = Wish(Path(repo), [Path(file) for file in key], instance, replace, json)
    with vault() as store:
        importing.run(project(), store, wish, interruptions)


@verb(name="cat", positional=["file"], help={"file": "a file under secrets/files/"})
def vault_cat(c: Context, file: str) -> None:
    """Print what an encrypted file holds, byte for byte.

    Example: invoke vault.cat secrets/files/demo/registry.p12.sops > /dev/shm/registry.p12
    """
    from barehub import overview

    with vault() as store:
        overview.show_kept(store, Path(file))


@verb(name="recipients", help={"json": "one JSON document on stdout"})
def vault_recipients(c: Context, json: bool = False) -> None:
    """Show who can read which file, and whether .sops.yaml says so; needs no key.

    Example: invoke vault.recipients
    """
    from barehub import readers

    readers.show(project().root, as_json=json)


@verb(
    name="add-recipient",
    positional=["name", "key"],
    help={
        "name": "what to call the person or machine; CI's begins with ci",
        "key": "their age or SSH public key (in quotes), or a .pub file",
    },
)
def vault_add_recipient(c: Context, name: str, key: str) -> None:
    """Let one more person or machine read the vault.

    Example: invoke vault.add-recipient alice age1…
    Example: invoke vault.add-recipient bob ~/.ssh/id_ed25519.pub
    """
    from barehub import readers

    with vault() as store:
        readers.add(store, name, key)


@verb(
    name="remove-recipient",
    positional=["name"],
    help={"name": "as vault.recipients shows it, or the key", "force": "even if it is you, or CI"},
)
def vault_remove_recipient(c: Context, name: str, force: bool = False) -> None:
    """Take a reader out of every file, and list what they have seen.

    Example: invoke vault.remove-recipient alice
    """
    from barehub import readers

    with vault() as store:
        readers.remove(store, name, force=force)


@verb(name="rotate")
def vault_rotate(c: Context) -> None:
    """Encrypt every file anew, with new data keys, for the same readers.

    Example: invoke vault.rotate
    """
    from barehub import readers

    with vault() as store:
        readers.rotate(store)


@verb(
    name="sync",
    help={"dry-run": "only say what would be done", "force": "even if you lose access"},
)
def vault_sync(c: Context, dry_run: bool = False, force: bool = False) -> None:
    """Bring every file to the readers of .sops.yaml.

    Example: invoke vault.sync --dry-run
    """
    from barehub import readers

    with vault() as store:
        readers.sync(store, dry_run=dry_run, force=force)


@verb(name="login", help={"new": "make a new identity instead of being given one"})
def vault_login(c: Context, new: bool = False) -> None:
    """Keep an age identity in the OS keyring, read from a hidden prompt or from standard input.

    Example: invoke vault.login < keys.txt
    Example: invoke vault.login --new
    """
    from barehub import whoami

    whoami.login(project().root, new=new)


@verb(name="logout", help={"yes": "do not ask, though it may be the only copy"})
def vault_logout(c: Context, yes: bool = False) -> None:
    """Remove barehub's identities from the OS keyring.

    Example: invoke vault.logout
    """
    from barehub import whoami

    whoami.logout(agreed=yes)


@verb(name="whoami", help={"json": "one JSON document on stdout"})
def vault_whoami(c: Context, json: bool = False) -> None:
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


def _help_first() -> None:
    """Make `invoke TASK --help` do what `invoke --help TASK` does.

    invoke would take it for the first positional argument of a task that has one.
    """
    from invoke.main import program

    core = getattr(program, "core", None)  # what stood before the first task is parsed
    if core and len(core.unparsed) == 2 and core.unparsed[1] in ("-h", "--help"):
        core[0].args.help.value = core.unparsed[0]
        core.unparsed.clear()


_help_first()
namespace = Collection(spawn, verify, teardown, list_, doctor, clean)
namespace.add_collection(
    Collection(
        "vault",
        vault_init,
        vault_set,
        vault_encrypt,
        vault_edit,
        vault_show,
        vault_cat,
        vault_import_git_crypt,
        vault_check,
        vault_install_hooks,
        vault_git_merge,
        vault_git_diff,
        vault_recipients,
        vault_add_recipient,
        vault_remove_recipient,
        vault_rotate,
        vault_sync,
        vault_login,
        vault_logout,
        vault_whoami,
    )
)
