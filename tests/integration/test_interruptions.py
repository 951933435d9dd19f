"""Signals that arrive inside code of others, which catches whatever a handler raises."""

from __future__ import annotations

import subprocess
import sys

import pytest

WAITING = """
import os, signal, threading
from barehub import process
from barehub.errors import Interrupted
from barehub.verify import parse, wait

interruptions = process.Interruptions()
calls = 0

def interrupt_at_once():
    os.kill(os.getpid(), signal.SIGINT)

def interrupt_the_wait():
    threading.Timer(0, os.kill, (os.getpid(), signal.SIGINT)).start()

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
        WAITING.replace("HOW", "interrupt_at_once"),
        WAITING.replace("HOW", "interrupt_the_wait"),
        PARSING,
    ],
    ids=["at once", "waiting", "parser"],
)
def test_a_signal_is_never_lost_and_never_a_traceback(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100
    )
    assert done.stdout.splitlines()[-1:] == ["interrupted"], done
    assert "Traceback" not in done.stderr
