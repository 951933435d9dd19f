"""The verbs about recipes."""

from __future__ import annotations

from invoke.context import Context

from barehub.tasks.verb import NAME, NO_WAIT, interruptions, only, project, seconds, vault, verb


@verb(
    help={
        "name": f"{NAME} (default: the only one)",
        "json": "one JSON document on stdout",
        "strict": "a warning is a failure",
        "no-wait": NO_WAIT,
    }
)
def check(
    c: Context, name: str = "", json: bool = False, strict: bool = False, no_wait: bool = False
) -> None:
    """Say all that stands in the way of a recipe, before anything is made.

    Works without the vault's key, too, and says what it could not look at then.

    Example: invoke check --name demo
    """
    from barehub import preflight

    name = name or only("check")
    preflight.check(project(), name, interruptions(), as_json=json, strict=strict, no_wait=no_wait)


@verb(
    positional=["path"],
    help={
        "path": "an instance's folder: main.tf, *openrc.sh, keys_cc.sh, terraform.tfstate, id_rsa",
        "name": "what to call it here (default: as the folder is called)",
        "keys": "another folder that holds the keys",
        "replace": "what it holds replaces other values in the vault",
        "json": "what to delete and to reissue as one JSON document on stdout",
    },
)
def import_recipe(
    c: Context, path: str, name: str = "", keys: str = "", replace: bool = False, json: bool = False
) -> None:
    """Take over an instance of the old procedure, with its secrets and its state.

    The folder is left as it is; nothing is applied. Ends with a plan, and the list of what to
    delete and to reissue on stdout.

    Example: invoke import-recipe ../old/my-hub --keys ../my-keys
    """
    from pathlib import Path

    from barehub.migration import taking_over
    from barehub.migration.old_instance import OldInstance, name_for

    folder = Path(path)
    instance = project().instance(name_for(folder, name))
    old = OldInstance(folder, Path(keys) if keys else None, instance)
    with vault() as store:
        taking_over.run(project(), store, old, interruptions(), replacing=replace, as_json=json)


@verb(
    name="run-folders",
    help={
        "keys": "the folder with openrc.sh, keys_cc.sh and one SSH key (/tmp/.ssh)",
        "artifacts": "the folder with main.tf (/terraform-artifacts)",
        "timeout": "seconds that the endpoint may take to become ready (900)",
    },
)
def run_folders(
    c: Context,
    keys: str = "/tmp/.ssh",  # noqa: S108 - where the old documentation mounts them
    artifacts: str = "/terraform-artifacts",
    timeout: str = "900",
) -> None:
    """Spawn what the old procedure's two folders hold: what its container did.

    Example: invoke run-folders --keys ~/my_keys --artifacts ~/instance-name
    """
    from pathlib import Path

    from barehub.console import console
    from barehub.migration import folders

    wait = seconds("timeout", timeout)
    endpoint = folders.run(project().root, Path(keys), Path(artifacts), interruptions(), wait)
    if endpoint:
        console.place(endpoint)
