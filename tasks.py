"""The command line of barehub: one invoke task a verb.

Only invoke is imported here, so that `invoke --list` costs what bare invoke costs.
"""

from __future__ import annotations

from collections.abc import Sequence

from invoke.collection import Collection
from invoke.context import Context

from barehub.tasks import clouds, day_two, instance, recipe, state, vault
from barehub.tasks.new import new
from barehub.tasks.verb import (
    CONTAINER,
    NAME,
    NO_WAIT,
    STAGE_TIMEOUT,
    WAIT,
    contained,
    given_of,
    interruptions,
    only,
    project,
    seconds,
    stage,
    stage_limit,
    verb,
)

# The three commands


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "recipe": "make instances/NAME/main.tf from terraform/recipes/RECIPE.tf if there is none",
        "yes": "do not ask before something that exists is replaced or destroyed",
        "allow-replace": "an address that the guard lets go (repeatable)",
        "from": "begin with this stage, and leave the earlier ones as they are",
        "recover": "after a crash: replace what is half made and import, without asking",
        "wait": WAIT,
        "no-wait": NO_WAIT,
        "stage-timeout": STAGE_TIMEOUT,
        "timeout": "seconds that the endpoint may take to become ready (900)",
        "container": CONTAINER,
    },
    iterable=["allow_replace"],
)
def spawn(
    c: Context,
    name: str = "",
    recipe: str = "",
    yes: bool = False,
    timeout: str = "900",
    allow_replace: Sequence[str] | None = None,
    from_: str = "",
    wait: bool = False,
    no_wait: bool = False,
    stage_timeout: str = "",
    recover: bool = False,
    container: bool = False,
) -> None:
    """Make a BinderHub, or bring it up to its recipe, and verify it.

    Prints the endpoint on stdout when the hub is up, and nothing before.

    Example: invoke spawn --name demo --recipe local
    """
    given = locals()
    from barehub import pipeline
    from barehub.console import console
    from barehub.run import Terms

    unasked = given_of(given, "yes", "recover", "allow_replace")
    name = name or only("spawn", unasked)
    if container:
        contained("spawn", {**given, "name": name})
        return
    endpoint = pipeline.spawn(
        project(),
        name,
        recipe=recipe or None,
        interruptions=interruptions(),
        terms=Terms(
            agreed=yes,
            allowed=frozenset(allow_replace or ()),
            first=stage(from_),
            wait=wait,
            no_wait=no_wait,
            recover=recover,
            stage_seconds=stage_limit(stage_timeout),
        ),
        seconds=seconds("timeout", timeout),
    )
    if endpoint:
        console.place(endpoint)
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
        "container": CONTAINER,
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
    container: bool = False,
) -> None:
    """Is the hub there, is it a BinderHub, is its TLS right; and if not, why.

    Example: invoke verify --name demo
    Example: invoke verify --url https://binder.example.org --json
    Example: invoke verify --file endpoints.txt --html report.html
    """
    given = locals()
    from barehub import checking

    if container:
        contained("verify", given)
        return
    wish = checking.Wish.of(given, seconds("timeout", timeout) if wait else 0)
    checking.check(project(), wish, interruptions())


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "yes": "do not ask for the name to be typed",
        "container": CONTAINER,
        "recover": "after the state was lost: import what was made, then destroy it",
        "wait": WAIT,
        "no-wait": NO_WAIT,
        "stage-timeout": STAGE_TIMEOUT,
    }
)
def teardown(
    c: Context,
    name: str = "",
    yes: bool = False,
    wait: bool = False,
    no_wait: bool = False,
    stage_timeout: str = "",
    recover: bool = False,
    container: bool = False,
) -> None:
    """Destroy a hub in reverse order, and prove that nothing of it is left.

    Example: invoke teardown --name demo --yes
    """
    given = locals()
    from barehub import pipeline
    from barehub.run import Terms

    name = name or only("teardown", given_of(given, "yes"))
    if container:
        contained("teardown", {**given, "name": name})
        return
    pipeline.teardown(
        project(),
        name,
        interruptions=interruptions(),
        terms=Terms(
            agreed=yes,
            recover=recover,
            wait=wait,
            no_wait=no_wait,
            stage_seconds=stage_limit(stage_timeout),
        ),
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


@verb(
    help={
        "yes": "do not ask before containers of the old procedure are removed",
        "no-wait": NO_WAIT,
    }
)
def clean(c: Context, yes: bool = False, no_wait: bool = False) -> None:
    """Remove what killed runs left on this machine, and say what it was.

    Example: invoke clean
    """
    from barehub import run, session, strays
    from barehub.console import console
    from barehub.errors import LeftoverError

    # every command sweeps first, and says what it removed, or why it could not
    if not no_wait:
        run.outlast_all(interruptions())
    living = session.living()
    for holder in living:
        what = "is at work" if holder.alive else "was killed, and what it started is still at work"
        console.say(f"not touched: the session of {holder}, which {what}")
    if dead := len(session.present()) - len(living):
        raise LeftoverError(
            f"{dead} sessions of killed runs could not be removed: the warnings above say why",
            f"ls {session.home()}",
        )
    strays.clean(agreed=yes)
    if all(holder.alive for holder in living):
        console.step("clean", "nothing of a killed run is left")


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
namespace = Collection(
    new,
    spawn,
    verify,
    teardown,
    recipe.check,
    recipe.import_recipe,
    recipe.run_folders,
    clouds.leftovers,
    list_,
    doctor,
    clean,
)
for room in (instance, day_two):
    for task in Collection.from_module(room).tasks.values():
        namespace.add_task(task)
namespace.add_collection(Collection.from_module(state, name="state"))
namespace.add_collection(Collection.from_module(vault, name="vault"))
