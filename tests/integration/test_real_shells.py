"""What we read out of shell files is what real shells make of them."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from barehub.migration import shell

NAMES = ["A", "B", "C", "D", "OS_X"]
TEXTS = [
    "abc",
    "x1",
    "/y:z",
    "a=b",
    "a#b",
    "é",
    "-",
    "[x]",
    "{a}",
    "*",
    "?",
    "~",
    "a~",
    "%",
    "$",
    "^",
    "a\u00a0b",
    "\f",
    "\v",
    "\r",
    "\u2003x",
    "\u3000",
    "\x85",
]
SINGLE = ["", "q q", "$A", "\\n", '"', "`x`", "a\nb", "#"]
DOUBLE = ["", "q q", "$A", "${B}x", "\\n", '\\"', "\\$A", "\\`", "a\\\nb", "it's", "a$", "\\\\"]
REFERENCES = ["$A", "${B}", "$C", "$D"]
OTHERS = [
    "$(echo a b)",
    "`echo c`",
    "${A:-x}",
    "${#A}",
    "$((2*3))",
    "$?",
    "$#",
    "$1",
    '"$(echo hi)"',
]
ENDS = ["\n", " ; ", " && ", "\n", " # c\n", "\t\n", "\f\n", "\u00a0#c\n"]


class Author:
    """Writes scripts that set variables in every way that we know of."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def script(self) -> str:
        commands = (self.command() + self.one(ENDS) for _ in range(self.chance.randint(1, 6)))
        return "".join(commands) + "true\n"

    def one(self, choices: list[str]) -> str:
        return self.chance.choice(choices)

    def word(self) -> str:
        return "".join(self.piece() for _ in range(self.chance.randint(0, 3)))

    def piece(self) -> str:
        escaped = "\\" + self.one(list(" $\"'\\a#;&\n`"))
        kinds = [self.one(TEXTS), f"'{self.one(SINGLE)}'", f'"{self.one(DOUBLE)}"', escaped]
        return self.one([*kinds, self.one(REFERENCES), self.one(OTHERS)])

    def command(self) -> str:
        name, word = self.one(NAMES), self.word()
        if self.chance.random() < 0.5:
            return self.one([f"export {name}={word}", f"{name}={word}"])
        return self.one(
            [
                f"export {name}",
                f"unset {name}",
                f"export {name}={word} {self.one(NAMES)}={self.word()}",
                "set -a",
                "set +a",
                f'if [ -z "${name}" ]; then unset {name}; fi',
                f"if true; then export {name}={word}; fi",
                f"false && export {name}={word}",
                f"true || export {name}={word}",
                f"( export {name}={word} )",
                f"export {name}={word} | cat",
                f"for i in 1 2; do export {name}=$i; done",
                f"case x in y) export {name}=1;; x) export {name}={word};; esac",
                f"f() {{ export {name}={word}; }}",
                f"{name}={word} true",
                f"cat <<E >/dev/null\nexport {name}=9 '\nE",
                f"export {name}={word} & wait",
            ]
        )


def exported(program: str, script: str, locale: str) -> dict[str, str] | None:
    """The environment that ``script`` leaves; None when the shell finds fault with it."""
    done = subprocess.run(
        [program, "-c", 'eval "$0"; exec env -0', script],
        env={"HOME": "/home/x", "PATH": "/usr/bin:/bin", "LC_ALL": locale},
        capture_output=True,
    )
    if done.returncode or done.stderr:
        return None
    entries = done.stdout.decode(errors="surrogateescape").split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("program", ["sh", "bash"])
def test_real_shells_agree(program: str, locale: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"there is no {program}")
    seed = random.randrange(2**32)
    author = Author(seed)
    compared = 0
    for _ in range(500):
        script = author.script()
        if "\r\n" in script:  # Windows' line ends, which are read as such, and no shell does
            continue
        try:
            ours = shell.read(script)
        except shell.NotShell:
            continue
        theirs = exported(program, script, locale)
        if theirs is None:
            continue
        told = f"seed {seed}\n{script}"
        for name, value in ours.values.items():
            assert theirs.get(name) == value, told
            compared += 1
        named = {*ours.values, *(left.name for left in ours.left)}
        assert {name for name in NAMES if theirs.get(name)} <= named, told
    assert compared > 30
