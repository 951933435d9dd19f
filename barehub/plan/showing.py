"""A plan as people and programs read it: lines, a table, JSON, Markdown for a pull request."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from barehub.console import BOLD, DIM, GREEN, RED, YELLOW
from barehub.plan.address import parse
from barehub.plan.change import Change
from barehub.project import STAGES

Paint = Callable[..., str]

VERBS = ("create", "update", "replace", "delete")
WORDS = {"update": "change", "delete": "destroy"}
"""Terraform's actions, where a person says it otherwise."""

COLORS = {"create": GREEN, "update": YELLOW, "replace": RED, "delete": RED}

BESIDE = "rest"
"""The row of what belongs to no stage."""


@dataclass(frozen=True)
class Shown:
    """A plan of ``instance``; ``refused`` are the addresses that the guard does not let go."""

    instance: str
    changes: Sequence[Change]
    refused: Collection[str] = ()
    outputs_change: bool = False
    nothing: str = "nothing to change"
    """What a plan without any change is called."""

    @property
    def stages(self) -> list[tuple[str, list[Change]]]:
        """What changes, by stage, in order; stages without a change are not there."""
        rows = [(stage, [c for c in self.changes if c.stage == stage]) for stage in STAGES]
        rows.append((BESIDE, [c for c in self.changes if not c.stage]))
        return [(stage, changes) for stage, changes in rows if changes]

    @property
    def summary(self) -> str:
        """``2 to create, 1 to replace``."""
        if self.changes:
            return _counted(self.changes, " to ")
        return "only outputs change" if self.outputs_change else self.nothing


def word(action: str) -> str:
    return WORDS.get(action, action)


def table(shown: Shown, paint: Paint) -> Iterable[str]:
    """For a terminal: a line a stage, then a line for each thing that is there and changes."""
    for stage, changes in shown.stages:
        made = Counter(_type(c.address) for c in changes if c.action == "create")
        kinds = ", ".join(f"{count} {kind}" for kind, count in made.items())
        only = all(change.action == "create" for change in changes)
        head = f"  {paint(f'{stage:<10}', BOLD)} {_counted(changes, ' to ')}"
        yield f"{head}: {kinds}" if only else head
        if kinds and not only:
            yield f"    {paint('create ', GREEN)}  {kinds}"
        for change in changes:
            if change.action != "create":
                yield from _lines(change, shown, paint)


def _lines(change: Change, shown: Shown, paint: Paint) -> Iterable[str]:
    what = paint(f"{word(change.action):<7}", COLORS.get(change.action, DIM))
    why = f"  {paint(change.why, DIM)}" if change.why else ""
    yield f"    {what}  {change.address}{why}"
    if change.loses:
        yield f"             {paint('loses', RED)} {change.loses}"
    if change.address in shown.refused:
        yield f"             refused, unless {_allow(change.address)}"


def lines(shown: Shown) -> Iterable[str]:
    """Where nothing is drawn: a line a change, each complete in itself."""
    for stage, changes in shown.stages:
        for change in changes:
            why = f" ({change.why})" if change.why else ""
            loses = f"; loses {change.loses}" if change.loses else ""
            refused = change.address in shown.refused
            unless = f"; refused, unless {_allow(change.address)}" if refused else ""
            yield f"{stage}: {word(change.action)}: {change.address}{why}{loses}{unless}"


def document(shown: Shown) -> str:
    """JSON. ``action`` is one of create, update, replace, delete, import, move, forget."""
    rows = [
        {
            "stage": change.stage or None,
            "address": change.address,
            "action": change.action,
            "attributes": change.attributes,
            "arguments": change.arguments,
            "tainted": change.tainted,
            "previous_address": change.previous or None,
            "kept": change.kept,
            "loses": change.loses or None,
            "refused": change.address in shown.refused,
        }
        for change in shown.changes
    ]
    counts = {action: sum(c.action == action for c in shown.changes) for action in VERBS}
    return json.dumps(
        {
            "schema_version": 1,
            "instance": shown.instance,
            "summary": shown.summary,
            "counts": counts,
            "outputs_change": shown.outputs_change,
            "changes": rows,
        },
        indent=2,
    )


def markdown(shown: Shown) -> str:
    """A comment for a pull request: what is lost first, all the rest folded."""
    text = [f"### `{shown.instance}`: {shown.summary}"]
    if shown.changes:
        text += ["", "| stage | change |", "|---|---|"]
        text += [f"| {stage} | {_counted(rows, ' to ')} |" for stage, rows in shown.stages]
    if lost := [change for change in shown.changes if change.lost]:
        text += ["", "**What is lost**", ""]
        text += [_item(change) for change in lost]
    if refused := [change.address for change in lost if change.address in shown.refused]:
        allow = " ".join(_allow(address) for address in refused)
        command = f"invoke spawn --name {shown.instance} {allow}"
        text += ["", "The guard refuses this, unless:", "", "```sh", command, "```"]
    if shown.changes:
        text += ["", "<details><summary>Every change</summary>", ""]
        text += [_item(change) for change in shown.changes]
        text += ["", "</details>"]
    return "\n".join(text)


def _item(change: Change) -> str:
    why = f" ({_code(change.why)})" if change.why else ""
    loses = f": loses {change.loses}" if change.loses else ""
    return f"- {word(change.action)} {_code(change.address)}{why}{loses}"


def _code(text: str) -> str:
    """Inline code, whatever is in it (https://spec.commonmark.org/0.31.2/#code-spans)."""
    fence = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _counted(changes: Sequence[Change], to: str) -> str:
    counts = Counter(change.action for change in changes)
    order = sorted(counts, key=lambda a: VERBS.index(a) if a in VERBS else len(VERBS))
    return ", ".join(f"{counts[action]}{to}{word(action)}" for action in order)


def _type(address: str) -> str:
    parsed = parse(address)
    return parsed.type if parsed else address


def _allow(address: str) -> str:
    return f"--allow-replace {shlex.quote(address)}"
