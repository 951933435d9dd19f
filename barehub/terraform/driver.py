"""Runs Terraform: one stage after the other, saved plans only."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from barehub import process, survivors
from barehub.awake import awake
from barehub.console import console
from barehub.errors import NotReadyError, RecipeError, TerraformError
from barehub.pipe import piped_variables
from barehub.process import Interruptions
from barehub.project import STAGES, Tool
from barehub.ssh.refusal import explain
from barehub.terraform import backend, encryption, plugins, protection, secret_keys
from barehub.terraform.command_line import FLAG, CommandLine
from barehub.terraform.deadline import Deadline
from barehub.terraform.events import Notice, Progress
from barehub.terraform.state import State

POLL_SECONDS = 0.01
SHOWN_DIAGNOSTICS = 3
NOT_YET = ("Invalid for_each argument", "Invalid count argument")
"""Errors of a plan that an applied earlier stage mends."""

KEPT = "Destroy was successful but left behind forgotten instances"
"""The error with which OpenTofu 1.12 ends an apply that does all that its plan says, where that
keeps what has ``lifecycle { destroy = false }``."""

FED = ("plan", "import")
"""Commands that are given the variables. What an apply starts inherits all that it has."""
USING = ("plan", "apply", "import")
"""Commands that have the state's lock, and so may have waited while somebody else changed it."""

_UNBUILT = re.compile(
    r"Provider (\S+) (\S+) does not have a[\s│]+package available for your current"
    r"[\s│]+platform,[\s│]+(\w+)"
)
MAKING = ("apply", "destroy", "import")
"""Commands that the machine should not fall asleep over."""

DOING = {
    "get": "fetching modules",
    "init": "fetching modules",
    "providers lock": "noting hashes of providers",
    "plan": "planning",
    "apply": "applying",
    "import": "importing",
}


@dataclass
class Terraform:
    """One instance's Terraform during one run.

    :param tool: terraform or tofu
    :param folder: the instance's folder, where the recipe is
    :param scratch: the session's folder: plans and output
    :param state: handed to ``-state``, and sealed again while a command runs
    :param env: the whole environment of the child
    :param fds: descriptors that the child keeps open (locks)
    :param variables: a path to give to plans as ``-var-file``, if any; ``variables_fds`` is what
        it needs to be open. An apply of a saved plan does without, and its provisioners, which
        inherit what it has, never see it.
    :param ephemeral: what it must be given all the same: the variables that no plan holds
    """

    tool: Tool
    folder: Path
    scratch: Path
    state: State
    env: dict[str, str]
    interruptions: Interruptions
    fds: Sequence[int] = ()
    variables: str | None = None
    variables_fds: Sequence[int] = ()
    ephemeral: Mapping[str, Any] = field(default_factory=dict)
    notice: Notice = lambda kind, address, action, id: None
    seconds: float = 0
    """How long each command may take; 0 means as long as it likes."""

    _runs: int = field(default=0, init=False)
    _piped: Sequence[int] = field(default=(), init=False)

    def get(self) -> str:
        """Fetch modules, and nothing else; what Terraform said if it failed."""
        code, progress = self._run("recipe", "get", no_color=FLAG)
        return "" if code == 0 else console.redact("\n".join(progress.raw)) or "it failed"

    def init(self) -> None:
        """Fetch modules and providers.

        :raises RecipeError: a provider was not built for this machine.
        :raises TerraformError: with what Terraform said.
        """
        code, progress = self._run("recipe", "init", input=False, no_color=FLAG)
        if code != 0:
            if unbuilt := _UNBUILT.search(" ".join(progress.raw)):
                raise RecipeError(
                    f"the provider {unbuilt[1]} {unbuilt[2]} has no build for {unbuilt[3]}",
                    f"{self.tool.name} -chdir={self.folder} providers   # who needs it",
                    "run it on another machine, or use a version of the module that does without",
                )
            self._show(progress)
            raise self._not_fetched("\n".join(progress.raw))

    def _not_fetched(self, said: str) -> TerraformError:
        if told := backend.unreachable(self.state.backend, self.folder.name, said):
            return told
        if refusal := explain(said):
            fixes = (fix.replace("/NAME/", f"/{self.folder.name}/") for fix in refusal.fixes)
            return TerraformError(refusal.problem, *fixes)
        advice = plugins.hints(said, self.folder) or [f"cd {self.folder} && terraform init"]
        return TerraformError("terraform init failed", *advice)

    def lock_providers(
        self, addresses: Sequence[str], platforms: Sequence[str], mirror: Path | None
    ) -> bool:
        """Have the lock file know the builds of providers for ``platforms``, from their registry or
        a ``mirror``; whether all of them are there.
        """
        code, _ = self._run(
            "providers",
            "providers lock",
            *addresses,
            platform=list(platforms),
            fs_mirror=mirror,
            no_color=FLAG,
        )
        return code == 0

    def plan(
        self,
        label: str,
        *,
        target: str | list[str] = "",
        replace: str = "",
        destroy: bool = False,
        refresh: bool = True,
        refresh_only: bool = False,
    ) -> tuple[Path, Progress]:
        """Save a plan; what it will do stands in ``Progress.planned``.

        :param refresh: look first at what there is.
        :param refresh_only: bring the state, and the outputs, up to what is there; change nothing.

        :raises TerraformError: it could not be made.
        :raises RecipeError: a key of ``for_each`` is a secret.
        """
        path, code, progress = self._plan(
            label,
            target=target or None,
            replace=replace or None,
            destroy=FLAG if destroy else None,
            refresh=None if refresh else False,
            refresh_only=FLAG if refresh_only else None,
        )
        self._check(code, progress, label, "plan -destroy" if destroy else "plan")
        if not (destroy or refresh_only):
            secret_keys.refuse(progress.planned, lambda: self.explain(path), self.folder)
        return path, progress

    def forecast(self, *, destroy: bool = False) -> tuple[Path, Progress] | None:
        """Save a plan of the whole recipe; nothing when it can only be planned stage by stage.

        That is so when how many of something there are depends on what an earlier stage makes.

        :raises TerraformError: it could not be made for another reason.
        :raises RecipeError: a key of ``for_each`` is a secret.
        """
        path, code, progress = self._plan("plan", destroy=FLAG if destroy else None)
        if progress.errors and all(e.summary in NOT_YET for e in progress.errors):
            return None
        self._check(code, progress, "plan", "plan -destroy" if destroy else "plan")
        if not destroy:
            secret_keys.refuse(progress.planned, lambda: self.explain(path), self.folder)
        return path, progress

    def explain(self, plan: Path) -> dict[str, Any]:
        """All that Terraform tells of a saved plan, with **every value in clear**.

        :raises TerraformError: it tells nothing.
        """
        argv = CommandLine(self.tool.path).build("show", str(plan), json=FLAG)
        done = process.run(argv, env=self.env, cwd=self.folder)
        try:
            document: dict[str, Any] = json.loads(done.text)
        except ValueError:
            raise TerraformError(
                f"terraform show does not tell what is in a plan (exit code {done.code})"
            ) from None
        return document

    def _plan(self, label: str, **options: object) -> tuple[Path, int, Progress]:
        path = self.scratch / f"{label}-{self._runs}.tfplan"
        code, progress = self._run(
            label,
            "plan",
            json=FLAG,
            input=False,
            **self.state.given("state"),
            out=path,
            var_file=self.variables,
            **options,
        )
        return path, code, progress

    def apply(self, label: str, plan: Path) -> Progress:
        """Apply a saved plan, exactly.

        :raises TerraformError: a resource failed; the state says how far it came.
        :raises VaultError: what was made before is not sealed yet, so nothing more is made.
        """
        if self.state.trouble:
            raise self.state.trouble
        with piped_variables(self.ephemeral, self.scratch) as private:
            given = self.state.given("state") | ({"var_file": private.path} if private else {})
            self._piped = private.fds if private else ()
            code, progress = self._run(label, "apply", str(plan), json=FLAG, input=False, **given)
        self._check(code, progress, label, "apply")
        return progress

    def adopt(self, address: str, id: str) -> None:
        """Take what exists as ``id`` into the state (``terraform import``).

        :raises TerraformError: there is no such thing, or it cannot be imported.
        """
        code, progress = self._run(
            "recovery",
            "import",
            address,
            id,
            input=False,
            no_color=FLAG,
            **self.state.given("state", "state_out"),
            var_file=self.variables,
        )
        if code != 0:
            self._show(progress)
            raise TerraformError(f"terraform import failed with exit code {code}")

    def pull(self) -> bytes:
        """The state as the recipe's backend has it.

        :raises TerraformError: the backend does not answer.
        """
        return self._state("pull").stdout

    def push(self, content: bytes, *, force: bool = False) -> None:
        """Give the recipe's backend a state; with ``force`` whatever it has.

        :raises TerraformError: it does not take it.
        """
        self._state("push", *(["-force"] if force else []), "-", input=content)

    def decrypt(self, content: bytes) -> bytes:
        """A state that OpenTofu encrypted, in clear.

        :raises TerraformError: its key is not in the environment.
        """
        return encryption.decrypted(self.tool, content, self.scratch / "encrypted", self.env)

    def _state(self, *args: str, input: bytes = b"") -> process.Finished:
        argv = [str(self.tool.path), "state", args[0], "-no-color", *args[1:]]
        done = process.run(argv, env=self.env, cwd=self.folder, input=input, pass_fds=self.fds)
        if done.code == 0:
            return done
        kind, said = self.state.backend, console.redact(done.stderr.decode(errors="replace"))
        if backend.LOCKED in said:
            raise backend.locked(kind, self.folder, self.env, said)
        if told := encryption.unreadable(kind, self.folder.name, said):
            raise told
        for line in said.splitlines()[-30:]:
            console.say(f"  {line}")
        raise TerraformError(
            f"terraform state {args[0]} failed: the backend {kind} does not answer, or refuses it",
            f"invoke spawn --name {self.folder.name}   once it is there",
        )

    def _check(self, code: int, progress: Progress, label: str, command: str) -> None:
        for warning in progress.warnings:
            console.warn(warning.lines()[0])
        if code == 0 or (progress.errors and all(e.summary == KEPT for e in progress.errors)):
            return
        if progress.errors and self.state.backend:
            told = backend.refused(self.state.backend, self.folder, self.env, progress.errors[0])
            if told:
                raise told
        if kept := protection.told(progress.errors):
            of = f"module.{label}." if label in STAGES else ""
            lost = [a for a in self.state.resources() if a.startswith(of)]
            raise protection.refusal(self.folder, kept, lost if "-destroy" in command else ())
        self._show(progress)
        where = _where(label)
        if not progress.errors:
            raise TerraformError(f"{where}: terraform {command} failed with exit code {code}")
        problem, hints = progress.errors[0].own_words(self.state.redact)
        take_in = f"invoke terraform --name {self.folder.name} -- import"
        there = [e for e in progress.errors if e.there]
        hints += [f"{take_in} '{e.address}' {e.there}   takes in what is there" for e in there]
        raise TerraformError(f"{where}: {problem}", *hints)

    def _show(self, progress: Progress) -> None:
        errors = [line for d in progress.errors[:SHOWN_DIAGNOSTICS] for line in d.lines()]
        raw = console.redact("\n".join(progress.raw)).splitlines()  # a secret may have many lines
        for line in errors or raw[-30:]:
            console.say(f"  {self.state.redact(line)}")
        if (more := len(progress.errors) - SHOWN_DIAGNOSTICS) > 0:
            console.say(f"  and {more} more")

    def _run(self, label: str, command: str, *args: str, **options: object) -> tuple[int, Progress]:
        """One command to its end, interrupted at most once; its exit code and what it did.

        :raises NotReadyError: its time was over, and it was stopped.
        :raises Interrupted: a signal came meanwhile, whatever Terraform made of it.
        """
        argv = CommandLine(self.tool.path).build(command, *args, **options)
        return self._watch(label, command, argv)

    def by_hand(self, argv: Sequence[str]) -> tuple[int, str]:
        """A command that a person chose, to its end; its exit code and all that it said, in clear.

        :raises Interrupted: a signal came meanwhile.
        """
        log = self.scratch / f"{self._runs}-hand-{argv[0]}.log"
        code, _ = self._watch("hand", argv[0], [str(self.tool.path), *argv])
        return code, log.read_text(errors="replace")

    def _watch(self, label: str, command: str, argv: list[str]) -> tuple[int, Progress]:
        progress = Progress(self.notice, console.stream)
        log = self.scratch / f"{self._runs}-{label}-{command.replace(' ', '-')}.log"
        self._runs += 1
        keeping = awake(self.folder.name) if command in MAKING else nullcontext(())
        held = self.interruptions.held()
        with held, log.open("wb") as output, log.open("rb") as tail, keeping as fds:
            child = process.start(
                argv,
                env=self.env,
                cwd=self.folder,
                pass_fds=[
                    *self.fds,
                    *fds,
                    *(self.variables_fds if command in FED or label == "hand" else ()),
                    *(self._piped if command == "apply" else ()),
                ],
                output=output,
            )
            survivors.record(self.scratch, child.pid)
            working = console.working(label, DOING.get(command, command))
            with self.interruptions.guarding(child), working as work:
                # what the command before this one changed is sealed while this one starts
                self.state.keep(at_once=True)
                rest, running = b"", True
                deadline = Deadline(self.seconds, self.interruptions)
                while running:
                    running = not _ended(child)
                    *lines, rest = (rest + tail.read()).split(b"\n")
                    for line in lines:
                        progress.feed(line.decode(errors="replace"))
                    if progress.doing:
                        work.now(progress.doing)
                    else:
                        work.go_on()
                    self.interruptions.tell()
                    deadline.watch()
                    self.state.keep()
            # of a provisioner that it stops, Terraform ends the shell, not what the shell started
            if progress.under_way or child.returncode != 0:
                survivors.end_provisioners(child.pid)
            self.state.adopt_errored()
            if command in USING or label == "hand":
                self.state.refresh()
        self.interruptions.check()
        if deadline.passed and child.returncode != 0:
            raise NotReadyError(
                f"{_where(label)}: terraform {command} did not end within {self.seconds:.0f} s"
            )
        return child.returncode, progress


def _where(label: str) -> str:
    return f"stage {label}" if label in STAGES else "the whole recipe"


def _ended(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True
