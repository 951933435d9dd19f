"""The state of an instance whose recipe has a backend of its own.

Terraform reads and writes it there. What is here is a copy in the session, for what barehub wants
to know, and what a dead backend did not take: Terraform leaves that in ``errored.tfstate``, in
clear. That name leads into the session; what comes there is sealed at once, and put where it
belongs before anything else is done.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

from barehub import reading
from barehub.console import console
from barehub.errors import BarehubError, TerraformError
from barehub.terraform import encryption
from barehub.terraform.shared_lock import SharedLock
from barehub.terraform.state import Seal, State, Unseal, parse

COPY = "pulled.tfstate"
"""The name of the copy in a session."""

LOCK_WAIT, LOCK_PATIENCE = "24h", "5s"
"""How long Terraform waits for the lock of a backend, with ``--wait`` and without it: somebody
else's plan is no reason to stop between two stages."""


class Backend(Protocol):
    """The way to the state where it is (``terraform state pull`` and ``push``)."""

    def pull(self) -> bytes: ...

    def push(self, content: bytes, *, force: bool = False) -> None: ...

    def decrypt(self, content: bytes) -> bytes: ...


class RemoteState(State):
    """A copy of it, during one run.

    :param plain: where the copy is, in the session
    :param sealed: for what the backend did not take, beside the recipe
    :param kind: the backend
    :param wait: whether to wait until nobody else has the state
    """

    def __init__(self, plain: Path, sealed: Path, seal: Seal, kind: str, *, wait: bool) -> None:
        super().__init__(plain, sealed, seal)
        self.backend, self._wait = kind, wait
        self._there: Backend | None = None
        self.lock: SharedLock | None = None
        """What keeps others away during the run, where the backend has that."""

    def given(self, *options: str) -> dict[str, Any]:
        return {"lock_timeout": LOCK_WAIT if self._wait else LOCK_PATIENCE}

    def open(self, unseal: Unseal) -> None:
        """The backend is reached later, when Terraform is ready: :meth:`reach`."""
        self.adopt_errored()

    def reach(self, backend: Backend, unseal: Unseal) -> None:
        """Give the backend what it did not take, if anything, and look at what it has.

        :raises TerraformError: it does not answer, or what it has is newer.
        :raises VaultError: what it did not take cannot be unsealed.
        """
        self.adopt_errored()
        self._there = backend
        self._pull()
        self._errored.unlink(missing_ok=True)  # of a run whose session is gone
        self._errored.symlink_to(self.plain.with_name(self._errored.name))
        if not self.sealed.exists():
            return
        newest = unseal(self.sealed)
        if encryption.encrypted(newest):
            newest = backend.decrypt(newest)
        state = parse(newest)
        if state is None:
            raise TerraformError(f"{self.sealed} does not hold a Terraform state")
        if self.lineage and self._content()["resources"] == state["resources"]:
            self.sealed.unlink()  # a command was killed after it gave it to the backend
            return
        if self.lineage and not (
            self.lineage == state["lineage"] and self.serial < state["serial"]
        ):
            raise TerraformError(
                f"the backend has serial {self.serial} of its state, and did not take serial "
                f"{state['serial']}: somebody changed it meanwhile",
                f"sops decrypt {self.sealed}   # compare it with: terraform state pull",
                f"what is not needed of it: rm {self.sealed}",
            )
        self.put(newest)
        self.sealed.unlink()
        console.warn(f"the {self.backend} backend took what it had not taken: {self.sealed.name}")

    def put(self, content: bytes) -> None:
        """Have the backend hold ``content``, which follows what it holds, or begins there.

        To a backend without a state Terraform writes it as one of another lineage; over one that
        is there it counts on by one (``internal/states/remote``: ``PersistState``).

        :raises TerraformError: the backend refuses it.
        """
        assert self._there, "reach comes first"
        begins = not self.lineage and json.loads(content)["lineage"]
        self._there.push(content)
        if begins:
            self.overwrite(content)
        else:  # a first apply whose backend died has no lineage yet: the push gives it one
            self._pull()

    def overwrite(self, content: bytes) -> None:
        """The same, whatever is there: for where that is known to be nothing."""
        assert self._there, "reach comes first"
        before = json.loads(content)
        before["serial"] -= 1
        self._there.push(json.dumps(before).encode(), force=True)
        self._pull()

    def refresh(self) -> None:
        """Pull it again, after a command that may have changed it or waited for it."""
        if self._there and not self.sealed.exists():
            try:
                self._pull()
                self.trouble = self._lost()
            except BarehubError as error:
                console.warn(error.problem)
                self.trouble = error

    def _lost(self) -> BarehubError | None:
        """Why nothing more may be made, if the lock is not ours any more."""
        if self.lock is None or self.lock.ours():
            return None
        return TerraformError(
            f"the lock in the {self.backend} backend is not ours any more, so nothing more is made",
            f"invoke spawn --name {self.sealed.parent.name}   goes on from here",
        )

    def keep(self, *, at_once: bool = False) -> None:
        """Nothing is sealed while Terraform runs: it writes to the backend, every 20 s."""

    def adopt_errored(self) -> None:
        """Seal what the backend did not take, and remove it in clear."""
        errored = self._errored
        try:
            content = reading.content(Path(os.path.realpath(errored)), TerraformError)
        except FileNotFoundError:
            return
        if parse(content) is None:
            raise TerraformError(f"{errored} does not hold a Terraform state", f"look at {errored}")
        self._seal(content, self.sealed)
        if not encryption.encrypted(content):
            self.plain.write_bytes(content)
        errored.resolve().unlink()
        self.trouble = TerraformError(
            f"the backend did not take the newest state: it is sealed in {self.sealed.name}"
        )
        console.warn(f"{self.trouble.problem}, and the next command gives it to the backend")

    def close(self) -> bool:
        self.adopt_errored()
        self._errored.unlink(missing_ok=True)
        return False

    @property
    def _errored(self) -> Path:
        """Where Terraform puts what the backend did not take: in the folder that it runs in."""
        return self.sealed.with_name("errored.tfstate")

    def _edited(self, state: dict[str, Any], addresses: Any) -> None:
        if addresses:
            state["serial"] += 1
            self.put(json.dumps(state).encode())

    def _pull(self) -> None:
        assert self._there
        self.plain.write_bytes(self._there.pull())
