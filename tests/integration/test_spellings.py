"""A value is hidden in whatever real programs make of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from barehub.redaction import Redactor

VALUES = {
    "punctuation": 'CANARY-p@ss "w0rd" ${x} it\'s </&> ~é',
    "backslashes": "CANARY\\nwith\\tback\\\\slash\\0101end",
    "words": "CANARY correct horse battery staple",
    "a token": "CANARYtoken0123456789abcdefghijKLMNOP+/==",
    "Japanese": "正しい馬の電池のホチキス",
    "accents": "CANARY café ünï",
    "escapes": 'CANARY,"x";y\'z &amp; %41 $${a}',
}
TELLTALES = ("CANARY", "horse", "w0rd", "caf", "0123", "end", "電池")

PYTHON = {
    "repr": "print(ascii(v), v.encode(), repr(v))",
    "unicode_escape": "print(v.encode('unicode_escape'), v.encode('ascii', 'backslashreplace'))",
    "CSV": "import csv; csv.writer(sys.stdout).writerow([v, 'b'])",
    "URL, twice": "from urllib.parse import quote as q; print(q(q(v, safe=''), safe=''))",
    "URL, Latin-1": "from urllib.parse import quote as q; print(q(v, '', 'latin-1', 'replace'))",
    "form, twice": "from urllib.parse import quote_plus as q; print(q(q(v)))",
    "XML, not ASCII": "print(v.encode('ascii', 'xmlcharrefreplace').decode())",
    "XML, decimal": "print(''.join(f'&#{ord(c)};' for c in v))",
    "XML, hexadecimal": "print(''.join(f'&#x{ord(c):X};' for c in v))",
    "XML": "from xml.sax.saxutils import escape, quoteattr; print(escape(v), quoteattr(v))",
    "quoted-printable": (
        "import quopri; sys.stdout.buffer.write(quopri.encodestring(v.encode()))\n"
        "sys.stdout.buffer.write(b'|' + quopri.encodestring(v.encode() * 4, True))"
    ),
    "question marks": "print(v.encode('ascii', 'replace').decode())",
    "hex with colons": "print(v.encode().hex(':'), v.encode().hex(':').upper())",
    "hex with blanks": "print(v.encode().hex(' '), v.encode().hex('-', 2))",
    "numbers": "print(list(v.encode()))",
    "JSON, each character": (
        "print(''.join(f'\\\\u{n:04x}' for n in memoryview(v.encode('utf-16-le')).cast('H')))"
    ),
    "JSON, thrice": "from json import dumps as d; print(d(d(d(v))))",
    "YAML": (
        "import yaml\nfor style in ('', chr(34), chr(39), '>', '|'):\n"
        "    for w in (20, 80) if ' ' in v else (80,):\n"
        "        print(yaml.dump({'a': v}, default_style=style, width=w))"
    ),
    "YAML, not ASCII": (
        "import yaml\nfor style in ('', chr(34), chr(39)):\n"
        "    print(yaml.dump({'a': v}, default_style=style, width=500, allow_unicode=True))"
    ),
}

SHELL = {
    "dash's echo": ("dash", 'echo "$1"'),
    "bash's echo -e": ("bash", 'echo -e "$1"; printf "%b\\n" "$1"'),
    "bash's printf %q": ("bash", 'printf "%q\\n" "$1"; echo "${1@Q}"'),
    "bash's read": ("bash", 'read v <<<"$1"; echo "$v"'),
    "bash's trace": ("bash", 'set -x; true "$1"'),
    "od": ("sh", 'printf %s "$1" | od -An -v -tx1'),
    "base32": ("sh", 'printf "ab%scde" "$1" | base32 -w 20'),
    "base64": ("sh", 'printf "a%scde" "$1" | base64 -w 20'),
    "openssl": ("sh", 'printf "user:%s" "$1" | openssl base64'),
    "xxd": ("sh", 'printf %s "$1" | xxd -p; printf %s "$1" | xxd -i'),
    "fmt": ("sh", 'printf %s "$1" | fmt -w 12'),
    "jq": ("sh", 'printf %s "$1" | jq -Rs ".,tojson,@uri,@html,@sh,@csv?,([.]|@csv,@tsv)"'),
    "jq, ASCII": ("sh", 'printf %s "$1" | jq -aRs ".,(tojson|tojson)"'),
    "perl": (
        "sh",
        "perl -MData::Dumper -CA -e '$Data::Dumper::Useqq=1; print Dumper(@ARGV)' \"$1\"",
    ),
    "curl": (
        "sh",
        'curl -sG --data-urlencode "x=$1" -o /dev/null -w "%{url_effective}" http://127.0.0.1:1/',
    ),
    "node": (
        "sh",
        "node -e 'const v = process.argv[1];"
        "console.log(JSON.stringify([v, v + v]), encodeURI(v), escape(v), [v]);"
        'console.log(JSON.stringify(Buffer.from(v)))\' "$1"',
    ),
}


def _printed_by(*argv: str, locale: str = "C.UTF-8") -> str:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": locale}
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    return done.stdout.decode(errors="replace")


def _python(code: str) -> Callable[[str], str]:
    return lambda value: _printed_by(
        sys.executable, "-c", f"import sys; v = sys.argv[1]\n{code}", value
    )


def _shell(shell: str, script: str, locale: str) -> Callable[[str], str]:
    return lambda value: _printed_by(shell, "-c", script, shell, value, locale=locale)


PRINTERS: dict[str, Callable[[str], str]] = {
    **{f"Python: {name}": _python(code) for name, code in PYTHON.items()},
    **{name: _shell(*words, "C.UTF-8") for name, words in SHELL.items()},
    "bash's printf %q, ASCII": _shell(*SHELL["bash's printf %q"], "C"),
    **{f: lambda v, f=f: unicodedata.normalize(f, v) for f in ("NFC", "NFD", "NFKC", "NFKD")},  # type: ignore[misc]
}
NEEDED = {
    "node": "node",
    "jq": "jq",
    "jq, ASCII": "jq",
    "dash's echo": "dash",
    "xxd": "xxd",
    "perl": "perl",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("printer", PRINTERS)
def test_a_value_is_hidden_as_a_program_prints_it(printer: str, value: str) -> None:
    if (program := NEEDED.get(printer)) and not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    printed = PRINTERS[printer](value)
    redactor = Redactor()
    assert redactor.add(value)
    cleaned = redactor.clean(printed)
    assert "***" in cleaned, printed
    assert not [word for word in TELLTALES if word in cleaned], (printed, cleaned)
    stream = redactor.stream()
    streamed = "".join(map(stream.feed, printed)) + stream.end()
    assert "***" in streamed, printed
    assert not [word for word in TELLTALES if word in streamed], (printed, streamed)


RECIPE = """
variable "passphrase" {
  validation {
    condition     = length(var.passphrase) < 3
    error_message = "Refused: PADDING ${var.passphrase} (it is too long)."
  }
}
"""


@pytest.mark.parametrize("color", [[], ["-no-color"]], ids=["in colour", "plain"])
@pytest.mark.parametrize("padding", [0, 17, 31, 40, 52])
def test_terraform_wraps_a_passphrase(color: list[str], padding: int, tmp_path: Path) -> None:
    value = " ".join(["CANARY correct horse battery staple", *("é" * n for n in range(1, 14))])
    (tmp_path / "main.tf").write_text(RECIPE.replace("PADDING", "x" * padding))
    done = subprocess.run(
        ["terraform", "plan", *color],
        cwd=tmp_path,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TF_VAR_passphrase": value},
        capture_output=True,
    )
    printed = (done.stdout + done.stderr).decode()
    message = printed[printed.index("Refused:") : printed.index("(it is")]
    assert "\n" in message and value not in message
    redactor = Redactor()
    redactor.add(value)
    for cleaned in (redactor.clean(printed), _in_pieces(redactor, printed)):
        assert cleaned.count("***") == 2
        assert not [word for word in (*TELLTALES, "éé") if word in cleaned]


def _in_pieces(redactor: Redactor, text: str) -> str:
    stream = redactor.stream()
    return "".join(map(stream.feed, text)) + stream.end()
