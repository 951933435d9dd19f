"""Signals that arrive inside code of others, which catches whatever a handler raises."""

from __future__ import annotations

import subprocess
import sys

import pytest

WAITING = """
import asyncio, os, signal
from barehub import process
from barehub.errors import Interrupted
from barehub.verify import parse, wait

interruptions = process.Interruptions()
calls = 0

def interrupt_a_callback():
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)

def interrupt_the_loop():
    loop = asyncio.get_running_loop()
    plain = loop.call_soon
    def once(*args, **kwargs):
        loop.call_soon = plain
        os.kill(os.getpid(), signal.SIGINT)
        return plain(*args, **kwargs)
    loop.call_later(0, lambda: setattr(loop, "call_soon", once))

def stop():
    global calls
    calls += 1
    interruptions.check()
    if calls == 3:
        HOW()

target = parse("https://demo.example.org", connect_to="127.0.0.1:1")
try:
    with interruptions.installed(), interruptions.polled():
        wait(target, seconds=30, now=print, stop=stop)
except Interrupted:
    print("interrupted")
"""

PARSING = """
import os, signal
from barehub import process
from barehub.errors import Interrupted
from lark.exceptions import VisitError

interruptions = process.Interruptions()
try:
    with interruptions.installed(), interruptions.polled():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception as error:
            raise VisitError("rule", None, error)
except Interrupted:
    print("interrupted")
"""


@pytest.mark.parametrize(
    "program",
    [
        WAITING.replace("HOW", "interrupt_a_callback"),
        WAITING.replace("HOW", "interrupt_the_loop"),
        PARSING,
    ],
    ids=["callback", "loop", "parser"],
)
def test_a_signal_is_never_lost_and_never_a_traceback(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20
    )
    assert done.stdout.splitlines()[-1:] == ["interrupted"], done
    assert "Traceback" not in done.stderr
