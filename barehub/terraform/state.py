"""Terraform's state: plaintext inside the session, sealed beside the recipe.

The sealed file is written again while Terraform runs, whenever the state has changed, so that a
crash loses at most the last moment; and a session that was killed is sealed by the next command.
Sealing and unsealing are the vault's, handed in by the run.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barehub import inside, reading
from barehub.console import console
from barehub.disclosure import generated, texts
from barehub.errors import BarehubError, TerraformError
from barehub.redaction import Redactor

SEAL_SECONDS = 1.0
"""The longest that a change may stay unsealed while Terraform runs."""

INSIDE_SECONDS = 0.1
"""The same in a container: when that is killed its memory is gone, and no sweep recovers it."""

Seal = Callable[[bytes, Path], None]
Unseal = Callable[[Path], bytes]


@dataclass(frozen=True)
class Object:
    """What a state has at an address; ``aside`` means that another one replaces it (deposed)."""

    address: str
    id: str
    aside: bool = False


class State:
    """The state of one instance during one run.

    :param plain: where Terraform reads and writes it, in the session
    :param sealed: the file beside the recipe
    """

    def __init__(self, plain: Path, sealed: Path, seal: Seal) -> None:
        self.plain, self.sealed, self._seal = plain, sealed, seal
        self.trouble: BarehubError | None = None
        """Why the newest state is not sealed; nothing more should be made until it is."""
        self._looked = 0.0
        self._patience = INSIDE_SECONDS if inside.sealed() else SEAL_SECONDS
        self._seen: tuple[int, int] | None = None
        self._redacts: tuple[int, int] | None = None
        """Of which version of the state the redactor knows the secrets."""
        self._redactor = Redactor()
        self.backend = ""
        """The recipe's own, if that has the state; see ``remote_state``."""

    def given(self, *options: str) -> dict[str, Any]:
        """What Terraform is told of where the state is: ``options`` of its command."""
        return dict.fromkeys(options, self.plain)

    def refresh(self) -> None:
        """Look again, after Terraform had it: we look where it wrote."""

    def open(self, unseal: Unseal) -> None:
        """Unseal the state into the session.

        :raises VaultError: it cannot be read; then Terraform must not start.
        :raises TerraformError: what was sealed is not a state.
        """
        if self.sealed.exists():
            content = unseal(self.sealed)
            if parse(content) is None:
                raise TerraformError(
                    f"{self.sealed.name} does not hold a Terraform state",
                    f"git log -p {self.sealed}",
                )
            self.plain.write_bytes(content)
            self._remember(content)
        self.adopt_errored()

    def adopt_errored(self) -> None:
        """Seal the state that Terraform put into ``errored.tfstate``, in clear, and remove it.

        Terraform does so when it cannot write where it should, because memory is full. The file
        then is the newest state, and nothing that Terraform does afterwards looks at it.

        :raises VaultError: it cannot be sealed; then it stays.
        """
        errored = self.sealed.with_name("errored.tfstate")
        try:
            content = reading.content(errored, TerraformError, links=False)
        except FileNotFoundError:
            return
        newest = parse(content)
        if newest is None:
            raise TerraformError(f"{errored} does not hold a Terraform state", f"look at {errored}")
        if newest["serial"] >= self._content().get("serial", 0):
            self._seal(content, self.sealed)
            try:
                self.plain.write_bytes(content)
                self._remember(content)
            except OSError:  # memory is full: what is sealed now stands, and close() leaves it
                self.plain.unlink(missing_ok=True)
            console.warn(f"terraform could not keep its state and left {errored}: sealed, removed")
        errored.unlink()

    def keep(self, *, at_once: bool = False) -> None:
        """Seal the state if it changed since; cheap enough for a loop."""
        if not at_once and time.monotonic() - self._looked < self._patience:
            return
        self._looked = time.monotonic()
        try:
            about = self.plain.stat()
        except FileNotFoundError:
            return
        if (about.st_mtime_ns, about.st_size) == self._seen:
            return
        try:
            content = self.plain.read_bytes()
            if parse(content) is not None:
                self._seal_if_newer(content)
                self._seen = (about.st_mtime_ns, about.st_size)
                self.trouble = None
        except BarehubError as error:  # Terraform is at work and must not be left alone
            if self.trouble is None:
                console.warn(f"the state is not sealed at this moment: {error.problem}")
            self.trouble = error

    def close(self) -> bool:
        """Seal what is not sealed yet; a state without anything in it needs no file.

        A state that Terraform left half written is sealed aside, for a person to look at: then
        the one that was sealed before, at most :data:`SEAL_SECONDS` older, stays in force.

        :returns: whether there was something to do
        :raises VaultError: it cannot be sealed
        """
        try:
            content = self.plain.read_bytes()
        except FileNotFoundError:
            return False
        if not content:
            return False  # Terraform made the file to lock it, and was killed before it wrote
        if parse(content) is None:
            torn = self.sealed.with_name("terraform.tfstate.torn.sops")
            self._seal(content, torn)
            console.warn(f"terraform left a half-written state; it is kept as {torn}")
            return True
        if not self.resources() and not self.outputs():
            existed = self.sealed.exists()
            self.sealed.unlink(missing_ok=True)
            return existed
        return self._seal_if_newer(content)

    def resources(self) -> list[str]:
        """The addresses of all instances of managed resources."""
        return [_address(*both) for both in _managed(self._content())]

    def ids(self) -> dict[str, str]:
        """The same, by address their ids; without what stands aside until it is replaced."""
        return {
            _address(resource, instance): str(instance.get("attributes", {}).get("id", ""))
            for resource, instance in _managed(self._content())
            if "deposed" not in instance
        }

    def objects(self) -> list[Object]:
        """All that the state has, also what stands aside until it is replaced."""
        return [
            Object(
                _address(resource, instance),
                str(instance.get("attributes", {}).get("id") or ""),
                aside="deposed" in instance,
            )
            for resource, instance in _managed(self._content())
        ]

    def tainted(self) -> list[str]:
        """The addresses of what the next plan replaces: its creation failed, or it was marked."""
        both = _managed(self._content())
        return [_address(r, i) for r, i in both if i.get("status") == "tainted"]

    def attributes(self, name: str, *types: str) -> list[str]:
        """The attribute ``name`` of all resources of ``types``, where it is a text."""
        both = _managed(self._content())
        values = [i.get("attributes", {}).get(name) for r, i in both if r["type"] in types]
        return [value for value in values if isinstance(value, str) and value]

    def redact(self, text: str) -> str:
        """Return ``text`` without the secrets that Terraform generated, as far as it marks them
        or :mod:`~barehub.disclosure` knows their types."""
        try:
            about = self.plain.stat()
        except FileNotFoundError:
            return text
        if (about.st_mtime_ns, about.st_size) != self._redacts:
            self._redacts = (about.st_mtime_ns, about.st_size)
            self._redactor = Redactor()
            for value in _secrets(self._content()):
                self._redactor.add(value)
        return self._redactor.clean(text)

    def taint(self, addresses: Collection[str]) -> None:
        """Mark instances of resources as tainted, so that the next plan replaces them.

        For what was being made when Terraform was killed: when anything else made it write its
        state in that time, a resource stands there whose provisioners never ended, as if whole.
        """
        state = self._content()
        for resource, instance in _managed(state):
            if _address(resource, instance) in addresses and "deposed" not in instance:
                instance["status"] = "tainted"
        self._edited(state, addresses)

    def drop(self, addresses: Collection[str]) -> None:
        """Take instances of resources out, for what was destroyed."""
        state = self._content()
        for resource, instance in list(_managed(state)):
            if _address(resource, instance) in addresses and "deposed" not in instance:
                resource["instances"].remove(instance)
        state["resources"] = [r for r in state.get("resources", []) if r["instances"]]
        self._edited(state, addresses)

    def _edited(self, state: dict[str, Any], addresses: Collection[str]) -> None:
        if addresses:
            state["serial"] += 1
            self.plain.write_text(json.dumps(state))

    def outputs(self) -> dict[str, Any]:
        """The root's outputs, sensitive ones too."""
        outputs: dict[str, Any] = self._content().get("outputs", {})
        return {name: output["value"] for name, output in outputs.items()}

    @property
    def serial(self) -> int:
        """How often it was changed."""
        return int(self._content().get("serial", 0))

    @property
    def lineage(self) -> str:
        """The random name of this state, the same through an instance's life; empty before it."""
        return str(self._content().get("lineage", ""))

    def _content(self) -> dict[str, Any]:
        try:
            return parse(self.plain.read_bytes()) or {}
        except FileNotFoundError:
            return {}

    def _seal_if_newer(self, content: bytes) -> bool:
        if self._mark.exists() and self._mark.read_text() == _fingerprint(content):
            return False
        self._seal(content, self.sealed)
        self._remember(content)
        return True

    def _remember(self, content: bytes) -> None:
        # beside the state, so that the session of a killed run tells it too
        try:
            self._mark.write_text(_fingerprint(content))
        except OSError:  # then it is sealed once more than needed
            self._mark.unlink(missing_ok=True)

    @property
    def _mark(self) -> Path:
        return self.plain.with_name("sealed.sha256")


def _managed(state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each managed resource with each of its instances."""
    for resource in state.get("resources", []):
        if resource.get("mode") == "managed":
            for instance in resource["instances"]:
                yield resource, instance


def _secrets(state: dict[str, Any]) -> Iterator[str]:
    """Yield what is marked as sensitive in resources and data sources, or generated by them.

    The marks are paths of steps; the first step is an attribute.
    """
    for resource in state.get("resources", []):
        for instance in resource.get("instances", []):
            attributes = instance.get("attributes") or {}
            paths = instance.get("sensitive_attributes") or []
            for name in {path[0].get("value") for path in paths if path} & attributes.keys():
                yield from texts(attributes[name])
            yield from generated(resource["type"], attributes)


def _address(resource: dict[str, Any], instance: dict[str, Any]) -> str:
    """As Terraform's events write it: ``module.provider.terraform_data.node["a"]``."""
    parts = (resource.get("module"), resource["type"], resource["name"])
    key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
    return ".".join(part for part in parts if part) + key


def made(content: bytes) -> dict[str, str]:
    """Address to id of all resources of a state."""
    both = _managed(parse(content) or {})
    return {_address(r, i): str(i.get("attributes", {}).get("id", "")) for r, i in both}


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def parse(content: bytes) -> dict[str, Any] | None:
    """The state, or nothing when it is torn or something else."""
    try:
        state = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return state if _whole(state) else None


def _whole(state: Any) -> bool:
    """Whether the parts that are read here are each of its kind (`stateV4` in Terraform's
    internal/states/statefile/version4.go)."""
    if not isinstance(state, dict) or type(state.get("serial")) is not int:
        return False
    resources, outputs = state.get("resources", []), state.get("outputs", {})
    if not isinstance(resources, list) or not isinstance(outputs, dict):
        return False
    if not all(isinstance(one, dict) and "value" in one for one in outputs.values()):
        return False
    if not all(isinstance(one, dict) for one in resources):
        return False
    return all(_whole_resource(one) for one in resources if one.get("mode") == "managed")


def _whole_resource(resource: dict[str, Any]) -> bool:
    instances = resource.get("instances")
    words = (resource.get("module") or "", resource.get("type"), resource.get("name"))
    return (
        isinstance(instances, list)
        and all(isinstance(word, str) for word in words)
        and all(isinstance(one, dict) for one in instances)
        and all(isinstance(one.get("attributes", {}), dict) for one in instances)
    )
