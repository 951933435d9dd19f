from __future__ import annotations

import base64
import html
import json
import re
import shlex
import subprocess
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barehub.redaction import Redactor

CANARY = 'CANARY-p@ss "w0rd" ${x} it\'s <&> é'
KEY = "-----BEGIN KEY-----\nQ0FOQVJZLWxpbmUtMQ\nQ0FOQVJZLWxpbmUtMg\n-----END KEY-----\n"


def _hiding(value: str) -> Redactor:
    redactor = Redactor()
    assert redactor.add(value)
    return redactor


FORMS = {
    "raw": CANARY,
    "JSON": json.dumps(CANARY),
    "JSON in UTF-8": json.dumps(CANARY, ensure_ascii=False),
    "Terraform's jsonencode": json.dumps(CANARY, ensure_ascii=False)
    .replace("<", "\\u003c")
    .replace(">", "\\u003e")
    .replace("&", "\\u0026"),
    "URL": urllib.parse.quote(CANARY),
    "URL in lower case": re.sub("%..", lambda m: m[0].lower(), urllib.parse.quote(CANARY)),
    "form": urllib.parse.quote_plus(CANARY),
    "HTML": html.escape(CANARY),
    "HTML of Go": html.escape(CANARY).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "shell": shlex.quote(CANARY),
    "YAML": CANARY.replace("'", "''"),
    "Python": repr(CANARY),
    "hex": CANARY.encode().hex(),
    "HEX": CANARY.encode().hex().upper(),
    "HCL": CANARY.replace("${", "$${"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_value_is_hidden_in_every_form_that_programs_print(form: str) -> None:
    cleaned = _hiding(CANARY).clean(f"before {form} after")
    assert "***" in cleaned
    assert not any(piece in cleaned for piece in ("CANARY", "w0rd", CANARY.encode().hex()))
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")


def test_what_a_shell_traces_is_hidden() -> None:
    traced = subprocess.run(
        ["bash", "-xc", 'true "$1"', "bash", CANARY], capture_output=True, text=True, check=True
    )
    assert "CANARY" in traced.stderr
    assert "w0rd" not in _hiding(CANARY).clean(traced.stderr)


@given(before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_base64_of_a_longer_message_does_not_betray_it(before: bytes, after: bytes) -> None:
    message = base64.b64encode(before + b"CANARY-secret-value" + after).decode()
    assert "***" in _hiding("CANARY-secret-value").clean(message)


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


@pytest.mark.parametrize("value", ["true", "a\nb\nc\nd", KEY.splitlines()[0]])
def test_what_cannot_be_hidden_is_reported(value: str) -> None:
    redactor = Redactor()
    assert not redactor.add(value)
    assert redactor.clean(f"it is {value}") == f"it is {value}"


def test_a_value_of_thousands_of_lines_is_hidden() -> None:
    lines = [f"CANARY-{number:05}" for number in range(5000)]
    assert "CANARY" not in _hiding("\n".join(lines)).clean(f"{lines[17]} {lines[4999]}")
