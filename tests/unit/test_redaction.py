from __future__ import annotations

import base64
import html
import json
import re
import shlex
import subprocess
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from barehub.console import Console
from barehub.redaction import MUCH, PIECE, SHORTEST, Redactor

CANARY = 'CANARY-p@ss "w0rd" ${x} it\'s </&> ~é'
KEY = "-----BEGIN KEY-----\nQ0FOQVJZLWxpbmUtMQ\nQ0FOQVJZLWxpbmUtMg\n-----END KEY-----\n"


def _hiding(*values: str) -> Redactor:
    redactor = Redactor()
    assert all(redactor.add(value) for value in values)
    return redactor


def _lower(pattern: str, text: str) -> str:
    return re.sub(pattern, lambda found: found[0].lower(), text)


def _for_html(text: str) -> str:
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON, upper case": lambda s: re.sub(
        r"(?<!\\)((?:\\\\)*\\u)(....)", lambda m: m[1] + m[2].upper(), json.dumps(s)
    ),
    "JSON of Go": lambda s: _for_html(json.dumps(s, ensure_ascii=False)),
    "JSON of PHP": lambda s: json.dumps(s).replace("/", "\\/"),
    "JSON in JSON": lambda s: json.dumps(json.dumps(s)),
    "URL": urllib.parse.quote,
    "URL in lower case": lambda s: _lower("%..", urllib.parse.quote(s)),
    "URL, RFC 3986": lambda s: urllib.parse.quote(s, safe=""),
    "URL of encodeURIComponent": lambda s: urllib.parse.quote(s, safe="!'()*"),
    "URL of encodeURI": lambda s: urllib.parse.quote(s, safe="!'()*;,/?:@&=+$#"),
    "URL of Go's segments": lambda s: urllib.parse.quote(s, safe="$&+=:@"),
    "URL of Go's passwords": lambda s: urllib.parse.quote(s, safe="$&+,;="),
    "URL, every byte": lambda s: "".join(f"%{byte:02X}" for byte in s.encode()),
    "URL, every byte in lower case": lambda s: "".join(f"%{byte:02x}" for byte in s.encode()),
    "form": urllib.parse.quote_plus,
    "form in lower case": lambda s: _lower("%..", urllib.parse.quote_plus(s)),
    "form of browsers": lambda s: urllib.parse.quote_plus(s, safe="*").replace("~", "%7E"),
    "HTML": html.escape,
    "HTML text": lambda s: html.escape(s, quote=False),
    "HTML of Go": lambda s: html.escape(s).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "XML": lambda s: html.escape(s).replace("&#x27;", "&apos;"),
    "shell": shlex.quote,
    "shell, backslashes": lambda s: "'" + s.replace("'", "'\\''") + "'",
    "shell, double quotes": lambda s: '"' + re.sub(r'([$`"\\])', r"\\\1", s) + '"',
    "YAML": lambda s: s.replace("'", "''"),
    "Python": repr,
    "Python's bytes": lambda s: repr(s.encode()),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
    "HCL": lambda s: s.replace("${", "$${").replace("%{", "%%{"),
    "HCL, quoted": lambda s: (
        json.dumps(s, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    ),
    "base64": lambda s: base64.b64encode(s.encode()).decode().rstrip("="),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("="),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_value_is_hidden_in_every_form_that_programs_print(form: Callable[[str], str]) -> None:
    cleaned = _hiding(CANARY).clean(f"before {form(CANARY)} after")
    # what may be left are the quotes around it
    assert re.fullmatch(r"before b?[\"'\\]*\*{3}[\"'\\]* after", cleaned)


CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="*")
"""No mask among them: what is left of a text could otherwise be a value again."""

SECRETS = st.text(
    CHARACTERS | st.sampled_from("'\"\\$`{}%<>&/+=~ \n\té"), min_size=SHORTEST, max_size=40
)


@settings(max_examples=400)
@given(
    secret=SECRETS,
    form=st.sampled_from(list(FORMS.values())),
    before=st.text(CHARACTERS, max_size=20),
    after=st.text(CHARACTERS, max_size=20),
)
def test_no_form_of_any_value_survives_in_any_text(
    secret: str, form: Callable[[str], str], before: str, after: str
) -> None:
    redactor = Redactor()
    assume(redactor.add(secret) and secret == secret.strip())
    cleaned = redactor.clean(before + form(secret) + after)
    assert form(secret) not in cleaned
    assert len(cleaned) <= len(before) + len("'\"***\"'\\\\") + len(after)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize(
    "secret", [CANARY, "CANARY #=;|(a)[b]?*^!`\\ '", "CANARY's\t\\\x1b\x01\x7fé"]
)
def test_what_a_shell_makes_of_it_is_hidden(secret: str, locale: str) -> None:
    script = '''v=$1; printf "%q\\n" "$v"; echo "${v@Q}"; declare -p v; set -x; true "$v"'''
    told = subprocess.run(
        ["bash", "-c", script, "bash", secret],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"LC_ALL": locale},
        check=True,
    ).stdout.decode()
    assert told.count("CANARY") == 4
    assert re.fullmatch(
        r"(?s)X\nX\ndeclare -- v=X\n\+ true X\n".replace("X", r"\$?['\"]?\*{3}['\"]?"),
        _hiding(secret).clean(told),
    )


@given(before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_base64_of_a_longer_message_does_not_betray_it(before: bytes, after: bytes) -> None:
    secret = b"CANARY-secret-value"
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        message = encode(before + secret + after).decode()
        left = _hiding(secret.decode()).clean(message).replace("***", "")
        # four characters for three bytes, and at each edge one that also holds bits of a neighbour
        assert len(left) <= len(encode(before)) + len(encode(after)) + 4


@pytest.mark.parametrize("value", ["CANARY" * 20, KEY, f"  {'CANARY' * 30}\n"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_wrapped_base64_is_hidden(value: str, end: str) -> None:
    printed = subprocess.run(
        ["base64"], input=(value.strip() + end).encode(), capture_output=True, check=True
    ).stdout.decode()
    cleaned = _hiding(value).clean(printed)
    assert all(len(rest) < 8 for rest in cleaned.replace("***", "\n").split())


def test_each_line_of_a_private_key_is_hidden_but_not_its_frame() -> None:
    redactor = _hiding(KEY)
    assert redactor.clean("| Q0FOQVJZLWxpbmUtMg |") == "| *** |"
    assert redactor.clean("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_outer_blanks_do_not_protect_a_value() -> None:
    assert _hiding("  CANARY-blank \n").clean("is CANARY-blank.") == "is ***."


def test_what_only_looks_like_a_frame_is_hidden() -> None:
    assert _hiding("-----CANARY").clean("is -----CANARY") == "is ***"


@pytest.mark.parametrize("value", ["", "true", "a\nb\nc\nd", KEY.splitlines()[0]])
def test_what_cannot_be_hidden_is_reported(value: str) -> None:
    redactor = Redactor()
    assert not redactor.add(value)
    assert redactor.clean(f"it is {value}") == f"it is {value}"


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_each_line_of_a_long_value_is_hidden_in_every_form(form: Callable[[str], str]) -> None:
    lines = [f"CANARY {number:05}'s" for number in range(2000)]
    cleaned = LONG.clean(f"{form(lines[17])} {form(lines[1999])}")
    assert re.fullmatch(r"(b?[\"'\\]*\*{3}[\"'\\]* ?){2}", cleaned)


LONG = _hiding("\n".join(f"CANARY {number:05}'s" for number in range(2000)))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_long_line_is_hidden_in_every_form(form: Callable[[str], str]) -> None:
    line = "".join(f"<{number}é>" for number in range(PIECE))
    cleaned = _hiding(line).clean(form(line))
    # the last character of base64 may hold bits of a neighbour
    assert re.fullmatch(r"b?[\"'\\]*\*{3}([\"'\\]*|.)", cleaned)


def test_a_huge_value_is_hidden_as_it_stands_and_its_beginning_in_every_form() -> None:
    lines = [f"CANARY-{number:06}" for number in range(MUCH // 10)]
    text = f"{lines[0].encode().hex()} {lines[-1]}"
    assert _hiding("\n".join(lines)).clean(text) == "*** ***"


def test_what_is_no_unicode_passes() -> None:
    assert _hiding("CANARY-1").clean("/tmp/\udcff/CANARY-1/é") == "/tmp/\udcff/***/é"


# What is wrapped

PHRASE = "CANARY correct horse battery staple"
TOKEN = "CANARY0123456789abcdefghijklmnop"

BETWEEN = {
    "a line": "\n",
    "Windows' line": "\r\n",
    "an indentation": "\n        ",
    "blanks": "   ",
    "Terraform's box": "\n│ ",
    "Terraform's box in colour": "\x1b[0m\n\x1b[31m│\x1b[0m \x1b[0m",
    "a box on both sides": " │\n│ ",
    "bars": " |\r\n  | ",
    "a quotation": "\n> ",
    "a no-break space": "\xa0",
    "JSON in one line": "\\n",
}


@pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)
def test_a_phrase_is_hidden_however_it_is_wrapped(between: str) -> None:
    redactor = _hiding(PHRASE)
    for text in (PHRASE.replace(" ", between), PHRASE.replace(" horse ", f"{between}horse ")):
        assert redactor.clean(f"is {text}.") == "is ***."
        stream = redactor.stream()
        assert "".join(map(stream.feed, f"is {text}.")) + stream.end() == "is ***."


@pytest.mark.parametrize("width", range(6, len(TOKEN)))
def test_a_word_that_is_broken_at_a_width_is_hidden(width: int) -> None:
    text = "\n".join(TOKEN[at : at + width] for at in range(0, len(TOKEN), width))
    redactor = _hiding(TOKEN)
    assert redactor.clean(f"{text} x") == "*** x"
    stream = redactor.stream()
    assert "".join(map(stream.feed, f"{text} x")) + stream.end() == "*** x"


def test_a_line_is_shown_although_it_ends_as_a_value_begins() -> None:
    stream = _hiding(TOKEN).stream()
    assert stream.feed("it is a CAN\n") == "it is a CAN\n"
    assert stream.feed("of worms\n") == "of worms\n"
    assert stream.feed("it is CAN\n") == "it is CAN\n"
    assert stream.feed(f"{TOKEN[3:]} x\n") == "*** x\n"
    assert stream.feed(f"it is {TOKEN[:7]}\n") == "it is "
    assert stream.feed("x") == f"{TOKEN[:7]}\nx"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("password", "pass word"),
        ("password", "pass\nword"),
        ("foobar", "foo|bar"),
        ("foobar", "foo+bar foo=bar foo, bar"),
        ("in the end", "in then d"),
        ("1234567890ab", "12 34 56 78 90 ab"),
        ("pa'ss1", "pass1"),
        ("hunter2", "hunter  2"),
        ("user name", "username"),
    ],
)
def test_other_words_of_the_same_letters_are_shown(value: str, text: str) -> None:
    assert _hiding(value).clean(text) == text


@pytest.mark.parametrize(
    "unit", ["\\", "%25", "&amp;", "\n|", "=\n", "\x1b[", "\x1b[0", "│", "\\u00", "CANARY\n", "| "]
)
def test_nothing_takes_long(unit: str) -> None:
    """A megabyte of one escape: hours, if each is compared with the rest of the text."""
    redactor = _hiding(PHRASE, TOKEN, CANARY)
    assert "***" not in redactor.clean((unit * 2**20)[: 2**20])


# What overlaps, and what comes in chunks


def test_the_longest_value_wins() -> None:
    redactor = _hiding("CANARY-short", "CANARY-short-and-long", "the CANARY-short-an")
    assert redactor.clean("CANARY-short CANARY-short-and-long") == "*** ***"
    assert redactor.clean("the CANARY-short-and-long one") == "*** one"


FEW = st.lists(st.text("ab", min_size=SHORTEST, max_size=9), min_size=1, max_size=4)
"""Values that overlap one another wherever they can."""


def _covered(values: list[str], text: str) -> str:
    """What a reader with all the time in the world would hide."""
    spans = sorted(
        (start, start + len(value))
        for value in values
        for start in range(len(text))
        if text.startswith(value, start)
    )
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start < joined[-1][1]:
            start, end = joined[-1][0], max(end, joined.pop()[1])
        joined.append((start, end))
    for start, end in reversed(joined):
        text = f"{text[:start]}***{text[end:]}"
    return text


@settings(max_examples=300)
@given(values=FEW, text=st.text("ab ", max_size=60))
def test_all_that_any_value_covers_is_hidden(values: list[str], text: str) -> None:
    assert _hiding(*values).clean(text) == _covered(values, text)


@settings(max_examples=300)
@given(values=FEW, text=st.text("ab ", max_size=60), cuts=st.lists(st.integers(0, 60)))
def test_cutting_a_text_changes_nothing(values: list[str], text: str, cuts: list[int]) -> None:
    redactor = _hiding(*values)
    for places in (sorted(cuts), range(len(text))):
        stream, shown, last = redactor.stream(), "", 0
        for place in (*places, len(text)):
            shown += stream.feed(text[last:place])
            last = max(last, place)
        assert shown + stream.end() == redactor.clean(text)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("value", [CANARY, KEY])
def test_a_form_that_comes_letter_by_letter_is_hidden(
    value: str, form: Callable[[str], str]
) -> None:
    redactor = _hiding(value)
    text = f"é {form(value)} é"
    stream = redactor.stream()
    assert "".join(map(stream.feed, text)) + stream.end() == redactor.clean(text)


def test_only_the_beginning_of_a_value_is_held_back() -> None:
    stream = _hiding("CANARY-one", "CANARY-one-more").stream()
    assert stream.feed("password: ") == "password: "
    assert stream.feed("CAN") == ""
    assert stream.waiting == "CAN"
    assert stream.feed("ADA C") == "CANADA "
    assert stream.feed("ANARY-one") == ""
    assert stream.feed("-mo ") == "***-mo "
    assert stream.waiting == ""
    assert stream.feed("CANARY-one-more CANARY") == "*** "
    assert stream.end() == "CANARY"
    assert stream.end() == ""


def test_a_value_that_is_added_late_is_hidden_from_then_on() -> None:
    redactor = _hiding("CANARY-one")
    stream = redactor.stream()
    assert stream.feed("CANARY-") == ""
    redactor.add("CANARY-two")
    assert stream.feed("two") + stream.end() == "***"


# What the console makes of it


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


@pytest.mark.usefixtures("actions")
def test_github_actions_masks_each_value_and_each_of_its_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {"a": "100%-CANARY", "b": KEY, "c": '{\n  "password": "CANARY"\n}', "d": "true"}
    assert Console().hide(values) == ["d"]
    assert capsys.readouterr().err.splitlines() == [
        "::add-mask::100%25-CANARY",
        f"::add-mask::{KEY.strip()}".replace("\n", "%0A"),
        "::add-mask::Q0FOQVJZLWxpbmUtMQ",
        "::add-mask::Q0FOQVJZLWxpbmUtMg",
        '::add-mask::"password": "CANARY"',
    ]


def test_nothing_is_masked_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    console = Console()
    assert console.hide({"a": "CANARY-a", "b": "8443"}) == ["b"]
    console.say("it is CANARY-a")
    assert capsys.readouterr().err == "it is ***\n"
