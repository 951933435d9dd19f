from __future__ import annotations

import io
import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barehub.console import Console
from barehub.errors import UsageError
from barehub.harmless import harmless
from barehub.redaction import Redactor
from barehub.streams import Foreign, Lasting

ATTACKS = {
    "colour that hides": "\x1b[8mCANARY",
    "clear screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;CANARY\x07",
    "hyperlink": "\x1b]8;;http://x/\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;Q0FOQVJZ\x07",
    "device control": "\x1bP+q544e\x1b\\",
    "C1 as code points": "\x9b2J\x9d0;x\x9c\x90q",
    "carriage return": "error: bad\r✓ good",
    "backspaces": "bad\b\b\bgood",
    "bidi": "\u202egood\u202c \u2066x\u2069 \u200f\u061c",
    "zero width": "a\u200bb\u200c\u200d\ufeff\u2060",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "surrogate": "a\udcff\ud800",
    "tags": "\U000e0041",
    "NUL and DEL": "\0\x7f",
    "GitLab's section": "section_start:1:x[collapsed=true]\r\x1b[0Kname",
}
OBEYED = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
COMMANDS = [
    "::error::CANARY",
    "  ::add-mask::CANARY",
    "\t\xa0\u3000::stop-commands::x",
    "\x1b[31m::set-output name=x::y",
    "fine\n::error::second line",
    "fine\r\n \n ::error::third line",
    "##[error]x",
    "in the middle ##[group]x ##[endgroup]",
    "###[error]x",
    "##vso[task.setvariable variable=x]y",
]


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("colors", [True, False])
def test_nothing_is_left_that_a_terminal_obeys(attack: str, colors: bool) -> None:
    shown = harmless(attack, colors=colors)
    assert not OBEYED.search(shown)
    shown.encode()


@given(st.text(st.characters() | st.sampled_from("\x1b[]m0;31\r\n:#\u202e\ud83d\u200b")))
def test_no_text_is_obeyed(text: str) -> None:
    assert not OBEYED.search(harmless(text))
    assert not OBEYED.search(re.sub(r"\x1b\[[0-3;]*m", "", harmless(text, colors=True)))
    shown = harmless(text).encode()  # no lone surrogate
    assert shown.count(b"\n") == text.count("\n")


def test_text_stays() -> None:
    text = "tab\there\nline é 正 😀 │ ✓ ::\n"
    assert harmless(text) == text
    assert harmless("Windows\r\nlines\r\n") == "Windows\nlines\n"


def test_only_our_own_colours_are_left() -> None:
    ours = Console().paint("x", "32")
    painted = f"{ours} \x1b[31;1mred\x1b[0m \x1b[8mgone\x1b[0m \x1b[38;5;0mblack\x1b[30;40mtoo"
    assert harmless(painted, colors=True) == f"{ours} \x1b[31;1mred\x1b[0m gone\x1b[0m blacktoo"
    assert harmless(painted) == "x red gone blacktoo"


@pytest.mark.parametrize("runner", ["GITHUB_ACTIONS", "TF_BUILD"])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_left_that_a_runner_obeys(
    command: str, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(runner, "true")
    for line in harmless(command).split("\n"):
        assert not line.lstrip().startswith("::")  # as ActionCommand.TryParseV2 looks
        assert "##[" not in line and "##vso[" not in line  # as ActionCommand.TryParse looks


def test_a_document_stays_the_same_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    document = {"a": [*ATTACKS.values(), *COMMANDS]}
    for text in (json.dumps(document, indent=1), json.dumps(document, ensure_ascii=False)):
        shown = harmless(text.replace("\ud800", "").replace("\udcff", ""))
        assert json.loads(shown) == json.loads(text.replace("\ud800", "").replace("\udcff", ""))


def test_the_runner_has_no_commands_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.delenv("TF_BUILD", raising=False)
    assert harmless("::1 is an address ##[x]") == "::1 is an address ##[x]"


# The console


def test_all_that_the_console_prints_is_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    console = Console()
    console.redactor.add("CANARY-secret")
    bad = "x\n::error::CANARY-\x1b[0msecret \x1b]0;t\x07 \u202e##[error]"
    for print_ in (console.out, console.say, console.warn, console.hint, console.place):
        print_(bad)
    console.step("label", bad)
    console.failed("label", bad)
    console.table(("A", "B"), [(bad, "\t"), ("c", bad)])
    with console.working("label", bad) as work:
        work._print(bad)
        work.above(bad)
    printed = "".join(capsys.readouterr())
    assert printed.count("CANARY") == 1  # `place` shows an address though the vault has it
    assert not OBEYED.search(printed)
    assert not re.search(r"^\s*::|##\[", printed, re.MULTILINE)
    console.annotate("error", bad)
    assert re.fullmatch(r"::error::[^\n]*\n", capsys.readouterr().err)


def test_a_cell_of_a_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table(("NAME", "STATE"), [("a\nb  up", "down\tup")])
    assert capsys.readouterr().out.splitlines() == ["NAME      STATE", "a\\nb  up  down\\tup"]


def test_a_traceback_is_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from barehub.console import console

    for name in ("stdout", "stderr", "excepthook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    monkeypatch.setattr(console, "redactor", Redactor())
    console.redactor.add("CANARY-secret")
    console.outlive_terminal()
    error = ValueError("CANARY-secret \x1b]0;x\x07")
    sys.excepthook(ValueError, error, None)
    assert capsys.readouterr().err == "ValueError: *** \\u001b]0;x\\u0007\n"


def _passed_on(chunks: list[bytes], value: str = "CANARY-correct horse") -> str:
    redactor = Redactor()
    redactor.add(value)
    to = io.StringIO()
    foreign = Foreign(Lasting(to), redactor.stream())
    for chunk in chunks:
        foreign.feed(chunk)
    foreign.end()
    return to.getvalue()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_what_a_program_prints_is_fit_however_it_comes(size: int) -> None:
    printed = (
        b"one \xc3\xa9 \xff\n\x1b[31mred\x1b[0m CANARY-correct\r\nhorse \x1b]0;t\x07\r\n"
        b"CANARY-\x1b[1mcorrect horse\n\xe2\x80\xaelast CANARY-corr"
    )
    chunks = [printed[at : at + size] for at in range(0, len(printed), size)]
    assert _passed_on(chunks) == (
        "one é \\xff\nred *** \\u001b]0;t\\u0007\n***\n\\u202elast CANARY-corr\n"
    )


def test_a_line_is_passed_on_at_once_and_an_endless_one_in_parts() -> None:
    redactor, to = Redactor(), io.StringIO()
    foreign = Foreign(Lasting(to), redactor.stream())
    foreign.feed(b"line\nhalf")
    assert to.getvalue() == "line\n"
    foreign.feed(b"x" * 100_000)
    assert len(to.getvalue()) > 100_000


def test_a_failed_write_is_no_error_of_ours() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(UsageError):
        Foreign(Lasting(Full(), answers=True), Redactor().stream()).feed(b"x\n")
