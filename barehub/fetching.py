"""The step that fetches a recipe's modules and providers, and keeps the hashes of the latter."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from barehub.console import console
from barehub.lock import Holder, Lock
from barehub.run import Run
from barehub.terraform import plugins
from barehub.terraform.driver import Terraform
from barehub.terraform.plugins import PLATFORMS, Mirror

LABEL = "providers"

TAKE_CACHED = "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE"
"""Without a lock file Terraform downloads a cached provider again and overwrites it, also while
other runs use it. The hashes that this setting leaves out are fetched for all platforms afterwards,
and the cached provider is compared with them
(https://developer.hashicorp.com/terraform/cli/config/config-file#allowing-the-provider-plugin-cache-to-break-the-dependency-lock-file)."""


def fetch(run: Run, terraform: Terraform, mirror: Mirror | None) -> None:
    """Let Terraform fetch modules and providers.

    The lock file beside the recipe then has the hashes of each new provider for all of
    :data:`~barehub.terraform.plugins.PLATFORMS`, as far as they can be had.

    :raises TerraformError: with what Terraform said.
    """
    before = plugins.locked(terraform.folder)
    _init(run, terraform, cached=not before)
    lacking = _complete(terraform, mirror, before)
    known = len({*PLATFORMS} - {*(lacking or ())})
    if lacking is not None and not before and plugins.hashes(terraform.folder) > known:
        # the cached provider differs from its origin's: an init was killed, say
        (terraform.folder / plugins.LOCK_FILE).unlink()
        _init(run, terraform, cached=False)
        lacking = _complete(terraform, mirror, before)
    if lacking is not None:
        _tell(run, lacking)


def _init(run: Run, terraform: Terraform, *, cached: bool) -> None:
    with _alone(run) as fds:
        own = terraform.fds, terraform.env
        terraform.fds = (*terraform.fds, *fds)
        if cached:
            terraform.env = {**terraform.env, TAKE_CACHED: "1"}
        terraform.init()
        terraform.fds, terraform.env = own


def _complete(
    terraform: Terraform, mirror: Mirror | None, before: Mapping[str, str]
) -> list[str] | None:
    """Have the lock file know all platforms of what it did not know ``before``; those for which it
    cannot, or nothing where there is nothing new."""
    now = plugins.locked(terraform.folder)
    new = [address for address, version in now.items() if before.get(address) != version]
    if not new:
        return None
    inside = [address for address in new if mirror and address in mirror.providers()]
    outside = [address for address in new if address not in inside]
    lacking = _hashed(terraform, outside, PLATFORMS)
    if mirror and inside:
        has = set.intersection(*(mirror.platforms(address, now[address]) for address in inside))
        built = [platform for platform in PLATFORMS if platform in has]
        lacking += _hashed(terraform, inside, built, mirror)
        lacking += [platform for platform in PLATFORMS if platform not in has]
    return lacking


def _hashed(
    terraform: Terraform,
    addresses: Sequence[str],
    platforms: Sequence[str],
    mirror: Mirror | None = None,
) -> list[str]:
    """Have the lock file know ``addresses`` for ``platforms``; those for which it cannot be."""
    place = mirror.folder if mirror else None
    if not addresses or terraform.lock_providers(addresses, platforms, place):
        return []
    return [one for one in platforms if not terraform.lock_providers(addresses, [one], place)]


def _tell(run: Run, lacking: Sequence[str]) -> None:
    file = run.project.relative(run.instance.folder / plugins.LOCK_FILE)
    if lacking:
        named = ", ".join(one for one in PLATFORMS if one in lacking)
        console.warn(f"{file} has no hashes for {named}: no builds of all providers were found")
    else:
        console.step(LABEL, f"hashes for Linux and macOS are in {file}: it belongs in git")


@contextmanager
def _alone(run: Run) -> Iterator[tuple[int, ...]]:
    """No other run of this person fetches meanwhile: Terraform's cache of plugins bears only one
    (https://developer.hashicorp.com/terraform/cli/config/config-file#provider-plugin-cache)."""
    lock = Lock(plugins.cache() / "plugins.lock")
    lock.path.parent.mkdir(parents=True, exist_ok=True)
    with console.working(LABEL) as work:
        while holder := lock.acquire(Holder.me("fetch")):
            work.now(f"waiting for {holder}")
            run.interruptions.check()
            time.sleep(0.1)
    try:
        yield lock.fds
    finally:
        lock.release()
