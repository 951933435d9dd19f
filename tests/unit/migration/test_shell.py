"""Which variables a shell file exports; tests/integration/test_real_shells.py asks real shells."""

from __future__ import annotations

import time

import pytest

from barehub.migration import shell
from barehub.migration.shell import Script

OPENRC = """\
#!/usr/bin/env bash
# To use an OpenStack cloud you need to authenticate against the Identity service
export OS_AUTH_URL=https://cloud.example.org:5000
export OS_PROJECT_NAME="def-me-dev"
export OS_USER_DOMAIN_NAME="Default"
if [ -z "$OS_USER_DOMAIN_NAME" ]; then unset OS_USER_DOMAIN_NAME; fi
export OS_PROJECT_DOMAIN_ID=""
if [ -z "$OS_PROJECT_DOMAIN_ID" ]; then
  unset OS_PROJECT_DOMAIN_ID
fi
unset OS_TENANT_ID
export OS_USERNAME='me too'
echo "Please enter your OpenStack Password for project $OS_PROJECT_NAME: "
read -sr OS_PASSWORD_INPUT
export OS_PASSWORD=$OS_PASSWORD_INPUT
export OS_URL_3="${OS_AUTH_URL}/v3"
"""


def reasons(script: Script) -> dict[str, str]:
    return {left.name: left.reason for left in script.left}


def test_an_openrc() -> None:
    script = shell.read(OPENRC)
    assert script.values == {
        "OS_AUTH_URL": "https://cloud.example.org:5000",
        "OS_PROJECT_NAME": "def-me-dev",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_USERNAME": "me too",
        "OS_URL_3": "https://cloud.example.org:5000/v3",
    }
    assert reasons(script) == {
        "OS_PROJECT_DOMAIN_ID": shell.EMPTY,
        "OS_TENANT_ID": shell.UNSET,
        "OS_PASSWORD": "is asked for (line 14)",
    }
    assert next(left.line for left in script.left if left.name == "OS_PASSWORD") == 15
    assert not script.more


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("export A=b", "b"),
        ("A=b; export A", "b"),
        ("export A; A=b", "b"),
        ("declare -x A=b", "b"),
        ("set -a\nA=b", "b"),
        ('export "A=b c"', "b c"),
        ("export A='it'\\''s'", "it's"),
        ('export A="q\\"\\$\\`\\\\ \\n"', 'q"$`\\ \\n'),
        ("export A=b\\ c", "b c"),
        ("export A=b#c # comment", "b#c"),
        ("export A='x\ny'", "x\ny"),
        ("export A=b \\\n B=c", "b"),
        ("export A=b\r\nexport B=c\r\n", "b"),
        ("B=1; export A=${B}2$B", "121"),
        ("export A=p$", "p$"),
        ("cat <<E\nexport A=no '\nE\nexport A=b", "b"),
        ("export A=1 && export A=b", "b"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert shell.read(text).values["A"] == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("export A=$(pass show x)", "is not a literal"),
        ("export A=`cat x`", "is not a literal"),
        ("export A=$OTHER", "is not a literal"),
        ("export A=${B:-c}", "is not a literal"),
        ("export A=~/x", "is not a literal"),
        ("export A=$'x'", "is not a literal"),
        ("export A=(b c)", "is not a literal"),
        ("B=1; export A=$B; export A+=2", "is not a literal"),
        ("read A; export A", "is asked for"),
        ("read B\nexport A=x$B", "is asked for (line 1)"),
        ("read C\nB=$C\nexport A=$B", "is asked for (line 1)"),
        ("export A=$(echo $B)", "is not a literal"),
        ("A=" + "x" * 999 + "\nA=$A$A" * 40 + "\nexport A", "is not a literal"),
        ("export A=", shell.EMPTY),
        ("export A=''", shell.EMPTY),
        ("export A=b; unset A", shell.UNSET),
        ("export A", "is not set there"),
        ("A=b", "is not exported"),
        ("if true; then export A=b; fi", shell.CONDITION),
        ("false && export A=b", shell.CONDITION),
        ("case x in x) export A=b;; esac", shell.CONDITION),
        ("f() { export A=b; }", shell.CONDITION),
        ("( export A=b )", shell.CONDITION),
        ("export A=b | cat", shell.CONDITION),
        ("export A=b &", shell.CONDITION),
        ("export A=b; if x; then unset A; fi", "is unset under a condition"),
    ],
)
def test_what_only_running_would_tell(text: str, reason: str) -> None:
    script = shell.read(text)
    assert "A" not in script.values
    assert reasons(script)["A"] == reason


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (OPENRC, False),
        ("export A=b\n", False),
        ("export A=$B\n", False),
        ("export A=b\ncurl -H x y\n", True),
        ("echo secret > file", True),
        ("if true; then export A=b; fi", True),
        ("A=b", True),
        ("B=b; export A=$B", False),
    ],
)
def test_whether_there_is_more_in_it(text: str, more: bool) -> None:
    assert shell.read(text).more is more


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b c", "b c"),
        ("A = b", "b"),
        ("A=b # comment", "b"),
        ("A=postgres://u:p@h/d?x=1&y=2", "postgres://u:p@h/d?x=1&y=2"),
        ("A='b c'", "b c"),
        ('A="b\nc"', "b\nc"),
        ("export A=b", "b"),
    ],
)
def test_dotenv(line: str, value: str) -> None:
    script = shell.read(f"# comment\n\n{line}\nZ=z\n", dotenv=True)
    assert script.values == {"A": value, "Z": "z"}
    assert not script.more


@pytest.mark.parametrize(
    "line", ['A="b\\nc"', "A=b\\c", "A='b'c", 'A={"b":1}', "A=b;c", "A=p$$w", "A='b' c"]
)
def test_what_the_readers_of_dotenv_do_not_agree_on_is_left_and_kept(line: str) -> None:
    script = shell.read(f"{line}\nZ=z\n", dotenv=True)
    assert script.values == {"Z": "z"}
    assert list(reasons(script)) == ["A"]
    assert script.more


@pytest.mark.parametrize(
    "text", ["export A='b", 'export A="b', "export A=$(b", "export A=${b", "export A=`b"]
)
def test_what_is_no_shell_file(text: str) -> None:
    with pytest.raises(shell.NotShell, match="line 2"):
        shell.read("# CANARY\n" + text)


def test_a_script_does_not_show_its_values() -> None:
    assert "CANARY" not in repr(shell.read("export A=CANARY"))


def test_a_long_document_is_passed_over_in_no_time() -> None:
    started = time.process_time()
    assert shell.read("cat <<E\n" + "x\n" * 200_000 + "E\nexport A=b\n").values == {"A": "b"}
    assert time.process_time() - started < 2


@pytest.mark.parametrize("letter", ["\u00a0", "\f", "\v", "\r", "\x1c", "\x85", "\u2028", "\u3000"])
@pytest.mark.parametrize("dotenv", [False, True])
def test_what_is_no_blank_to_a_shell_is_a_letter(letter: str, dotenv: bool) -> None:
    """As it is copied from a web page; once it was read for ever."""
    text = f"export A=x{letter}y\nexport{letter}B=2\nexport C='q{letter}'\n{letter}\nexport D=4"
    found = shell.read(text, dotenv=dotenv)
    assert found.values["C"] == f"q{letter}" and found.values["D"] == "4"
    assert found.values.get("A") == (None if dotenv else f"x{letter}y")
    assert "B" not in found.values and (dotenv or found.more)
