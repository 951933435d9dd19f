from __future__ import annotations

import pytest

from barehub.console import console
from barehub.preparation import hide
from barehub.vault.store import Secrets

OPENRC = {
    "OS_IDENTITY_API_VERSION": "3",
    "OS_INTERFACE": "public",
    "OS_REGION_NAME": "GRA9",
    "OS_USER_DOMAIN_NAME": "Default",
    "OS_PROJECT_DOMAIN_ID": "default",
    "OS_USERNAME": "CANARY-openrc-user",
    "OS_PASSWORD": "CANARY-openrc-password",
}


def test_what_an_openrc_tells_of_its_cloud_is_neither_hidden_nor_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hide(Secrets({**OPENRC, "PIN": "1234"}, {}, {}, {}), "demo", "demo.example.org")
    assert capsys.readouterr().err == "warning: too short to be hidden in output: environment.PIN\n"
    shown = console.redact("the Default public group of CANARY-openrc-user: CANARY-openrc-password")
    assert shown == "the Default public group of ***: ***"
