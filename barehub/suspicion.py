"""What looks like a secret: by its name, by its form, by its randomness."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from barehub import age_keys, tokens

SHORTEST = 6
"""Characters below which a value is not looked for elsewhere: "true" and "8443" are everywhere."""

PLACEHOLDER = re.compile(r"\s*<[^<>]*>\s*")

_NAME = re.compile(
    r"pass(word|wd|phrase|code)|(^|_)(pwd|pw|pass)$|basic_?auth|chpasswd|secret|token|credential"
    r"|(private|api|access|account|signing|encryption|auth|licen[cs]e)_?key"
)
_HARMLESS_NAME = re.compile(
    r"(public|authorized)_?(ssh_?)?keys?|zone"
    r"|_(path|file|filename|dir|name|names|ids?|arn|type|format|length|count|ttl|expiry|lifetime"
    r"|enabled|required|namespace|version|header|endpoint|ref)$"
)

_PUBLIC_NAME = re.compile(
    r"(^|_)(source|version|image|tag|commit|revision|checksum|digest|hash|sha\d*|fingerprint|domain)$"
)

_LOGIN_NAME = re.compile(r"(^|_)auth$")
_LOGIN = re.compile(r"[^\s:/]+:[^\s:/]\S*")

_KNOWN_NAME = re.compile(
    r"(^|_)(url|uri|endpoint|id|name|region|interface|version|address|ip|host|hostname|port|user"
    r"|username|login|e?mail|domain|zone|path|project|tenant|flavor|image|size|count|enabled|type"
    r"|registry|repository|branch|cidr|network|subnet|namespace)$"
)
"""What everybody is told who works with it."""

_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}(/\d+)?")

_PUBLIC_KEY = re.compile(rf"{age_keys.PUBLIC}|-----BEGIN (CERTIFICATE|PUBLIC KEY)")
_IDENTIFIER = re.compile(r"(sha|md)\d+[:-]|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.I)
_RUN = re.compile(r"[A-Za-z0-9]{16,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_HEX = re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{24,}\b", re.I)
_WORD_IN_IT = re.compile(r"[a-z]{5}")


def named(name: str) -> bool:
    """Whether what is called ``name`` is a secret: ``docker_password``, not ``token_path``."""
    plain = _plain(name)
    return bool(_NAME.search(plain)) and not _HARMLESS_NAME.search(plain)


def formed(text: str) -> bool:
    """Whether ``text`` contains a token of a well-known form, a private key, or a URL's password.

    Such a thing is a secret whatever its name is.
    """
    return tokens.like(text)


def random(text: str) -> bool:
    """Whether ``text`` contains what nobody would choose or read aloud.

    Public keys, UUIDs, digests and what addresses name are random, too, and public.
    """
    if "://" in text or _PUBLIC_KEY.match(text) or _IDENTIFIER.match(text):
        return False
    if _HEX.search(text) or any(_jumble(run) > 0.3 for run in _RUN.findall(text)):
        return True
    joined = (re.sub("[^A-Za-z0-9]", "", run) for run in _BASE64.findall(text))
    return any(_jumble(run) > 0.4 and not _WORD_IN_IT.search(run) for run in joined)


def secret(name: str, text: str) -> bool:
    """Whether ``text`` is one, being the value of what is called ``name``."""
    if _nothing(text) or PLACEHOLDER.fullmatch(text):
        return False
    if formed(text) or (named(name) and not _PUBLIC_KEY.match(text)):
        return True
    plain = _plain(name)
    if _LOGIN_NAME.search(plain) and _LOGIN.fullmatch(text):
        return True
    return random(text) and not (_HARMLESS_NAME.search(plain) or _PUBLIC_NAME.search(plain))


def known(name: str, text: str) -> bool:
    """Whether ``text``, being the value of ``name``, is surely no credential: an address, a name.

    In doubt it is one.
    """
    if _PUBLIC_KEY.match(text) and not formed(text):
        return True
    if "\n" in text or "hook" in name.lower() or secret(name, text) or holds(text):
        return False
    if "://" in text and ("?" in text or any(random(part) for part in re.split("[/:#]+", text))):
        return False
    plain = _plain(name)
    by_name = not named(name) and (_KNOWN_NAME.search(plain) or _HARMLESS_NAME.search(plain))
    return bool(by_name or _ADDRESS.fullmatch(text) or text in ("true", "false"))


def _nothing(text: str) -> bool:
    return text.lower() in ("", "true", "false", "null", "none", "yes", "no")


def _plain(name: str) -> str:
    """In lower case, its words joined by ``_``: ``apiKey``, ``api-key`` and ``API_KEY`` are one."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").replace(" ", "_")


def _jumble(run: str) -> float:
    """How often small and capital letters and digits alternate: 0.6 in random text, 0.1 in words
    with a date behind them; 0 without a digit."""
    kinds = [(c.isdigit(), c.isupper()) for c in run]
    changes = sum(one != other for one, other in itertools.pairwise(kinds))
    return changes / len(run) if any(digit for digit, _ in kinds) else 0.0


REMOVED = "<removed>"

_ASSIGNED = re.compile(
    r"""(?<![\w-]) (?P<name>(?:(?:api|access|auth|private)[ \t])?[\w-]++)
        ["']?(?:[ \t]++(?:is|was))?[ \t]*+[:=]++>?""",
    re.X | re.I,
)
_SPOKEN = re.compile(
    r"""(?: \b(?:login|machine|user(?:name)?)[ \t]++\S++[ \t]++password[ \t]++
          | ^[ \t#/*]*+password[ \t]++(?=\S++[ \t]*+$)
          | \bpass(?:word|wd|phrase)[ \t]++(?:(?:is|was)[ \t]++)?(?=\S*\d)(?=\S{6})
          | --pass(?:word|wd|phrase)[ \t]++
          | \brequirepass[ \t]++ )""",
    re.X | re.I | re.M,
)
"""``machine … login … password …``, as in netrc(5), and the like: a value comes without a sign."""

_VALUE = re.compile(
    r"""[ \t]*+ (?: "(?P<double>[^"\n]*+)" | '(?P<single>[^'\n]*+)'
                  | ["']?(?P<plain>[^\s"',;]++(?:[,;][^\s"',;]++)*+) )""",
    re.X,
)
_ACCOUNT = re.compile(r"(?<![\w.:/-])[\w.-]++:(?![\s/:$<])[^\s\"'|]")
_WORD = re.compile(r"[^\s\"'`,;()\[\]{}]+")


def holds(text: str) -> bool:
    """Whether a secret is given a value somewhere in ``text``: a script, a configuration."""
    if "chpasswd" in text and _ACCOUNT.search(text):
        return True
    return next(_given(text), None) is not None


def cleaned(comment: str) -> str:
    """``comment`` with :data:`REMOVED` for what looks like a secret in it."""

    def word(found: re.Match[str]) -> str:
        return REMOVED if formed(found[0]) or random(found[0]) else found[0]

    if "PRIVATE KEY" in comment and formed(comment):
        return _WORD.sub(lambda found: found[0] if found[0] in _MARKS else REMOVED, comment)
    for start, stop in sorted(_given(comment), reverse=True):
        comment = f"{comment[:start]}{REMOVED}{comment[stop:]}"
    return _WORD.sub(word, comment)


def changed_lines(before: str, after: str) -> list[int]:
    """The numbers, from 0, of the lines that :func:`cleaned` changed."""
    lines = zip(before.split("\n"), after.split("\n"), strict=True)
    return [number for number, (one, other) in enumerate(lines) if one != other]


def in_comments(text: str, *, slashes: bool = False) -> list[int]:
    """The lines of ``text`` where a comment holds what looks like a secret.

    :param slashes: ``//`` and ``/*`` begin comments as well.
    """
    found = []
    line, at = 1, 0
    for comment in (_IN_HCL if slashes else _AFTER_HASH).finditer(text):
        if not comment["comment"]:
            continue
        line += text.count("\n", at, comment.start("comment"))
        at = comment.start("comment")
        before = comment["comment"]
        found += [line + n for n in changed_lines(before, cleaned(before))]
    return found


_AFTER_HASH = re.compile(r"(?:^|(?<=[ \t]))(?P<comment>\#[^\n]*+(?:\n[ \t]*+\#[^\n]*+)*+)", re.M)
_IN_HCL = re.compile(
    r""""(?:\\.|[^"\\\n])*+"|(?P<comment>(?:\#|//)[^\n]*+|/\*[\s\S]*?(?:\*/|\Z))"""
)
_MARKS = ("#", "//", "/*", "*/", "*")


def _given(text: str) -> Iterator[tuple[int, int]]:
    """Where the values of secrets stand, without their quotes."""
    spans = set()
    for pattern in (_ASSIGNED, _SPOKEN):
        last = 0
        for found in pattern.finditer(text):
            if found.start() < last or (pattern is _ASSIGNED and not named(found["name"])):
                continue
            value = _VALUE.match(text, found.end())
            if not value or not value.lastgroup:
                continue
            start, stop = value.span(value.lastgroup)
            given = text[start:stop]
            if not (_nothing(given) or _reference(given)):
                spans.add((start, stop))
                last = stop
    end = 0
    for start, stop in sorted(spans):
        if start >= end:
            yield start, stop
            end = stop


def _reference(value: str) -> bool:
    if value.startswith("$") and named(value[1:]) and value[1:].isidentifier():
        return True
    return bool(PLACEHOLDER.fullmatch(value) or _REFERENCE.match(value))


_REFERENCE = re.compile(
    r"(var|local|module|data)\.|\$[{(]|\$[A-Z_][A-Z0-9_]*$|\{\{|file\(|//|[=:\[{(]+$"
)
