"""The lists of readers in the text of ``.sops.yaml``, edited in place: other lines stay."""

from __future__ import annotations

from typing import Any

Readers = list[tuple[str, str]]
"""Keys with their names, which may be empty."""


def value(mapping: Any, name: str) -> Any:
    """The node of the field ``name`` of ``mapping``, if there is one."""
    return next((value for key, value in mapping.value if key.value == name), None)


class NotEditable(Exception):
    """It stands in a form that only a person can edit."""


def edited(text: str, rule: Any, field: str, readers: Readers) -> str:
    """``text`` with ``readers`` as the list ``field`` of the node ``rule``; none leave no field.

    :raises NotEditable: the list is written in another way than one reader a line.
    """
    present = value(rule, field)
    if readers and present is not None:
        return _with_list(text, present, readers)
    lines = text.splitlines(keepends=True)
    # a new list comes before the people's, which is always there
    key = next(key for key, _ in rule.value if key.value == (field if present else "age"))
    first = last = key.start_mark.line
    indent = lines[first][: key.start_mark.column]
    if indent.strip():
        raise NotEditable
    if present is None:
        lines[first:first] = [block(indent, field, readers)]
        return "".join(lines)
    if present.id != "sequence" or present.flow_style:
        raise NotEditable
    last = present.value[-1].end_mark.line
    return "".join(lines[:first] + lines[last + 1 :])


def block(indent: str, field: str, readers: Readers) -> str:
    """A whole list, as text."""
    return f"{indent}{field}:\n" + "".join(_line(f"{indent}  - ", *one) for one in readers)


def bare(recipient: Any) -> str:
    """An SSH key without what stands behind it, which is not part of the key."""
    return " ".join(str(recipient).split()[:2])


def _with_list(text: str, node: Any, readers: Readers) -> str:
    """``text`` with ``readers`` in the place of the list ``node``; other lines stay."""
    first, last = node.start_mark, node.end_mark
    if node.id == "sequence":
        marks = [mark for item in node.value for mark in (item.start_mark, item.end_mark)]
        if any(not first.index <= mark.index <= last.index for mark in marks):
            raise NotEditable  # an alias: the key stands elsewhere
    lines = text.splitlines(keepends=True)
    if node.id == "sequence" and not node.flow_style:
        return _with_items(lines, node.value, readers)
    start, stop = text.rindex("\n", 0, first.index) + 1, last.index
    begun = text[start : first.index].rstrip()
    indent = " " * (len(begun) - len(begun.lstrip(" -")) + 2)
    rest, _, after = text[stop:].partition("\n")
    if text[:stop].endswith("\n"):  # a folded text ends with its line
        rest, after = "", text[stop:]
    head = f"{begun}  {rest.strip()}".rstrip()
    items = "".join(_line(f"{indent}- ", key, name) for key, name in readers)
    return f"{text[:start]}{head}\n{items}{after}"


def _with_items(lines: list[str], items: list[Any], readers: Readers) -> str:
    known = {bare(item.value): item for item in items}
    kept = {key for key, _ in readers}
    prefix = lines[items[-1].start_mark.line][: items[-1].start_mark.column]
    added = "".join(_line(prefix, key, name) for key, name in readers if key not in known)
    end = items[-1].end_mark.line
    if not lines[end].endswith("\n"):
        lines[end] += "\n"
    lines[end] += added
    for key, item in known.items():
        if key not in kept:
            for number in range(item.start_mark.line, item.end_mark.line + 1):
                lines[number] = added if number == end else ""
    return "".join(lines)


def _line(prefix: str, key: str, name: str) -> str:
    return f"{prefix}{key}  # {name}\n" if name else f"{prefix}{key}\n"
