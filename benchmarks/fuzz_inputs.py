"""Inputs for fuzz.py: mutations of good samples, and generated oddities.

Each input is a function of a random generator that is seeded by the run's seed, the kind and the
number of the input, so that one input can be had again without the others.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

ODD_TOKENS = (
    b"\xc2\xa0", b"\x0c", b"\x0b", b"\0", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xed\xa0\x80",
    b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\x85", b"\xff", b"\x1b[2J", b"\r", b"\r\n",
    b"\n", b"\t", b" ", b'"', b"'", b"`", b"\\", b"$", b"${", b"}", b"{", b"[", b"]", b"(", b")",
    b"#", b"//", b"/*", b"*/", b"<<EOF\n", b"EOF\n", b"&", b"*", b"!", b"|", b">", b"%", b":", b",",
    b"-", b"=", b"?", b"~", b"@", b"::", b"\n---\n", b"&a ", b"*a", b"<<: ", b"!!int ",
    b"null", b"true", b"false", b"NaN", b"Infinity", b"-1", b"0", b"1e300", b"1e999", b"0x7f",
    b"9" * 30, b"9" * 5000, b"2026-02-30", b"\xf0\x9f\xa6\x8a", b"e\xcc\x81", b"\xd9\xa3",
)  # fmt: skip
"""Bytes that readers of text stumble over."""

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1e300, -1e300, 2**70, "", " ", "\0", "\ud800", "\uffff", [], {}, [[]],
    {"": ""}, [None], ["a", 1], {"a": {"a": {}}}, "x" * 5000, [0] * 500, float("nan"),
    float("inf"),
)  # fmt: skip
"""Values in place of others in a document."""

LONGEST = 200_000
"""Bytes of an input, so that a run of 100,000 ends."""

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def made(rng: random.Random, samples: Sequence[bytes], tokens: Sequence[bytes] = ()) -> bytes:
    """Return one input: a sample after one to six mutations, sometimes pure noise."""
    if rng.random() < 0.02:
        return rng.randbytes(rng.randrange(300))
    content, known = rng.choice(samples), (*ODD_TOKENS, *tokens)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4, 6))):
        mutation = rng.choices(_MUTATIONS, _WEIGHTS)[0]
        content = mutation(rng, content, (*known, *samples))[:LONGEST]
    return content


def _spot(rng: random.Random, content: bytes) -> tuple[int, int]:
    """Return a short range of ``content``."""
    start = rng.randrange(len(content) + 1)
    return start, min(len(content), start + rng.choice((1, 1, 2, 4, 8, 20, 100)))


def _flip(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 2, 8))):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _delete(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    start, stop = _spot(rng, content)
    return content[:start] + content[stop:]


def _double(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    start, stop = _spot(rng, content)
    return content[:stop] + content[start:stop] * rng.choice((1, 2, 30, 600)) + content[stop:]


def _insert(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    start, _ = _spot(rng, content)
    return content[:start] + rng.choice(known) + content[start:]


def _replace(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    start, stop = _spot(rng, content)
    return content[:start] + rng.choice(known) + content[stop:]


def _cut(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _lines(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    """Drop, repeat or move a line."""
    lines = content.split(b"\n")
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def _nest(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    opening, closing = rng.choice(((b"[", b"]"), (b"{", b"}"), (b"(", b")"), (b"${", b"}"),
                                   (b'{"a":', b"}"), (b"- ", b""), (b"$(", b")"), (b'"${', b'}"'),
                                   (b"\n  ", b""), (b"!", b""), (b"a: {", b"}")))  # fmt: skip
    depth = rng.choice((3, 60, 600, 5000, 50_000))
    start, stop = _spot(rng, content)
    end = closing * depth if rng.random() < 0.7 else b""
    return content[:start] + opening * depth + content[start:stop] + end + content[stop:]


def _flood(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    """Put many of one byte, or of one token, at one place."""
    start, _ = _spot(rng, content)
    token = rng.choice((b" ", b"\t", b"\n", b"a", b"0", b"-", b".", b"/", rng.choice(known)[:40]))
    return content[:start] + token * rng.choice((50, 5000, 60_000)) + content[start:]


def _splice(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    other = rng.choice(known)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def _restructure(rng: random.Random, content: bytes, known: Sequence[bytes]) -> bytes:
    """Change a JSON document, or one of its lines, in one place."""
    lines = content.split(b"\n")
    at = rng.randrange(len(lines))
    for whole in (True, False):
        try:
            tree = json.loads(content if whole else lines[at])
        except (ValueError, RecursionError):
            continue
        said = json.dumps(_changed(rng, tree)).encode()
        if whole:
            return said
        lines[at] = said
        return b"\n".join(lines)
    return content


def _changed(rng: random.Random, tree: Any) -> Any:
    if isinstance(tree, dict) and tree and rng.random() < 0.85:
        key = rng.choice(list(tree))
        action = rng.randrange(4)
        if action == 0:
            return {name: value for name, value in tree.items() if name != key}
        if action == 1:
            return {**tree, rng.choice(("", "\0", "a" * 300, key + "x")): tree[key]}
        return {**tree, key: _changed(rng, tree[key])}
    if isinstance(tree, list) and tree and rng.random() < 0.7:
        at = rng.randrange(len(tree))
        return [*tree[:at], _changed(rng, tree[at]), *tree[at + rng.randrange(2) :]]
    return rng.choice(ODD_VALUES)


_MUTATIONS: tuple[Mutation, ...] = (
    _flip, _delete, _double, _insert, _replace, _cut, _lines, _nest, _flood, _splice, _restructure,
)  # fmt: skip
_WEIGHTS = (6, 5, 3, 10, 10, 2, 4, 1, 1, 3, 8)


def der(rng: random.Random, samples: Sequence[bytes]) -> bytes:
    """Return a certificate with its structure changed, and its lengths right again (X.690)."""
    content = rng.choice(samples)
    if rng.random() < 0.1:
        return made(rng, samples)
    try:
        tree = parsed(content)
    except (IndexError, ValueError):
        return content
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        _disturb(rng, tree)
    return b"".join(map(encoded, tree))[:LONGEST]


Node = list[Any]
"""A tag and its content: bytes, or a list of nodes."""


def parsed(content: bytes) -> list[Node]:
    nodes: list[Node] = []
    at = 0
    while at < len(content):
        tag, length = content[at], content[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(content[at : at + size], "big")
            at += size
        value = content[at : at + length]
        if len(value) < length:
            raise ValueError("cut off")
        at += length
        nodes.append([tag, parsed(value) if tag & 0x20 else _wrapped(tag, value)])
    return nodes


def _wrapped(tag: int, value: bytes) -> bytes | list[Node]:
    """Return what an OCTET STRING wraps, as an extension does, if it is DER again."""
    if tag == 0x04 and len(value) > 2:
        try:
            inner = parsed(value)
        except (IndexError, ValueError):
            return value
        return inner if b"".join(map(encoded, inner)) == value else value
    return value


def _inside(node: Node) -> bytes:
    return node[1] if isinstance(node[1], bytes) else b"".join(map(encoded, node[1]))


def encoded(node: Node) -> bytes:
    value = _inside(node)
    size = len(value)
    if size < 0x80:
        length = bytes([size])
    else:
        digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
        length = bytes([0x80 | len(digits)]) + digits
    return bytes([node[0]]) + length + value


def _disturb(rng: random.Random, nodes: list[Node]) -> None:
    """Change one node somewhere below ``nodes``."""
    lists = [nodes]
    for place in lists:
        lists += [node[1] for node in place if isinstance(node[1], list)]
    place = rng.choice([one for one in lists if one] or [nodes])
    if not place:
        return
    at = rng.randrange(len(place))
    node, action = place[at], rng.randrange(8)
    if action == 0:
        del place[at]
    elif action == 1:
        small = len(encoded(node)) < 1000
        place[at:at] = [[node[0], _inside(node)]] * rng.choice((1, 1, 1, 40 if small else 1))
    elif action == 2:
        node[0] = rng.choice((0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x17, 0x18, 0x1E,
                              0x30, 0x31, 0x82, 0x87, 0xA0, 0xA3, rng.randrange(256)))  # fmt: skip
    elif action == 3:
        other = rng.choice(rng.choice([one for one in lists if one]))
        place[at] = [other[0], _inside(other)]
    elif action == 4 and isinstance(node[1], list):
        rng.shuffle(node[1])
    elif isinstance(node[1], bytes):
        odd = (b"", b"\0", b"\xff", b"\x80" + node[1], node[1] * 2, node[1][::-1], b"\xff\xff",
               b"99991231235959Z", b"000000000000Z", b"500229000000Z", b"\xef\xbf\xbf",
               b"\xed\xa0\x80", b"]]>", b"\0" * 16, b"\x7f" * 4000)  # fmt: skip
        node[1] = rng.choice(odd) if rng.random() < 0.6 else _flip(rng, node[1], ())
