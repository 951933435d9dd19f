"""Work that waits for a cloud, beside a person who waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from barehub.console import console
from barehub.process import Interruptions

T = TypeVar("T")

POLL_SECONDS = 0.1


def attended(
    label: str, interruptions: Interruptions, work: Callable[[Callable[[str], None]], T]
) -> T:
    """What ``work`` returns; it runs in a thread, so that progress is shown and Ctrl-C answered.

    ``work`` is given a function to call with what it does at the moment, which raises when it
    shall end. An answer that a cloud owes when Ctrl-C comes is not waited for.

    :raises BarehubError: what ``work`` raised
    :raises Interrupted: a signal came
    """
    done: list[T] = []
    failed: list[BaseException] = []
    latest = [""]
    ended = threading.Event()

    def now(text: str) -> None:
        latest[0] = text
        if ended.is_set():
            raise SystemExit  # ends the thread alone

    def run() -> None:
        try:
            done.append(work(now))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    try:
        with interruptions.polled(), console.working(label) as shown:
            thread.start()
            while thread.is_alive():
                thread.join(POLL_SECONDS)
                interruptions.check()
                shown.now(latest[0])
    finally:
        ended.set()
    if failed:
        raise failed[0]
    return done[0]
