from __future__ import annotations

import base64
import html
import json
import shlex
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barehub.redaction import Redactor

CANARY = 'CANARY-p@ss "w0rd" ${x} <&> é'


@pytest.mark.parametrize(
    "form",
    [
        CANARY,
        json.dumps(CANARY),
        json.dumps(CANARY, ensure_ascii=False),
        urllib.parse.quote(CANARY),
        urllib.parse.quote_plus(CANARY),
        html.escape(CANARY),
        shlex.quote(CANARY),
        CANARY.encode().hex(),
        CANARY.replace("${", "$${"),
    ],
)
def test_a_value_is_hidden_in_every_form_that_programs_print(form: str) -> None:
    redactor = Redactor()
    redactor.add(CANARY)
    cleaned = redactor.clean(f"before {form} after")
    assert "***" in cleaned
    assert "CANARY" not in cleaned
    assert CANARY.encode().hex() not in cleaned
    assert cleaned.startswith("before ")
    assert cleaned.endswith(" after")


@given(before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_base64_of_a_longer_message_does_not_betray_it(before: bytes, after: bytes) -> None:
    redactor = Redactor()
    redactor.add("CANARY-secret-value")
    message = base64.b64encode(before + b"CANARY-secret-value" + after).decode()
    assert "***" in redactor.clean(message)


def test_each_line_of_a_private_key_is_hidden_but_not_its_frame() -> None:
    key = "-----BEGIN KEY-----\nQ0FOQVJZLWxpbmUtMQ\nQ0FOQVJZLWxpbmUtMg\n-----END KEY-----\n"
    redactor = Redactor()
    redactor.add(key)
    assert redactor.clean("| Q0FOQVJZLWxpbmUtMg |") == "| *** |"
    assert redactor.clean("-----BEGIN KEY-----") == "-----BEGIN KEY-----"


def test_short_values_are_left_alone_and_reported() -> None:
    redactor = Redactor()
    assert not redactor.add("true")
    assert redactor.clean("it is true") == "it is true"
