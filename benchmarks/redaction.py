"""What hiding 40 secrets in a log costs, against sed and str.replace."""

from __future__ import annotations

import html
import json
import random
import secrets
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from barehub.redaction import Redactor, forms, hidden_lines  # noqa: E402

MEGABYTES, CHUNK, RUNS = 8, 64 * 1024, 5
EVERY = 100
"""Lines of the log, one of which holds a secret, in one of its forms."""

LINES = (
    "module.provider.openstack_compute_instance_v2.hub: Still creating... [NUMBERs elapsed]",
    '{"@level":"info","@message":"Apply complete","hook":{"elapsed_seconds":NUMBER},"type":"x"}',
    "Get:NUMBER https://deb.debian.org/debian bookworm/main amd64 Packages [8,786 kB]",
    "Setting up libssl3:amd64 (3.0.NUMBER-1) ...",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08: pulled NUMBER",
)


ESCAPES: tuple[Callable[[str], str], ...] = (
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(json.dumps(text)),
    lambda text: repr(text.encode()),
    lambda text: urllib.parse.quote(text, safe=""),
    lambda text: urllib.parse.quote_plus(urllib.parse.quote_plus(text)),
    lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    lambda text: "".join(f"&#{byte};" for byte in text.encode()),
    html.escape,
    shlex.quote,
)


def main() -> None:
    values = _values()
    every_form = sorted(_every_form(values), key=len)[::-1]
    log = _log(every_form)
    redactor = _hiding(values)
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        script, text = Path(folder, "script.sed"), Path(folder, "log")
        script.write_text(_sed_script(values))
        text.write_text(log)
        ways: dict[str, Callable[[], object]] = {
            "clean()": lambda: redactor.clean(log),
            "stream, 64 KB chunks": lambda: _in_chunks(redactor, log),
            "sed, raw values only": lambda: _sed(script, text),
            "str.replace, all forms": lambda: _replace(every_form, log),
        }
        print(f"{len(values)} values, {len(every_form)} forms, {len(log) / 1e6:.0f} MB of log")
        for few in (values, values[:1] + values[-9:]):
            ready = statistics.median(_time(partial(_hiding, few)) for _ in range(RUNS))
            print(f"forms of {len(few)} values are ready after {ready * 1000:.1f} ms")
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(RUNS):
            for name, way in ways.items():
                seconds[name].append(_time(way))
    speeds = {n: len(log) / 1e6 / statistics.median(s) for n, s in seconds.items()}
    for name, speed in speeds.items():
        ratio = speeds["clean()"] / speed
        print(f"{name:<24}{speed:8.1f} MB/s   clean() is {ratio:.2f} times as fast")
    print(f"medians of {RUNS} interleaved runs; aim: 20 MB/s")


def _values() -> list[str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=4096)
    keys = [
        key.private_bytes(Encoding.PEM, format, NoEncryption()).decode()
        for format in (PrivateFormat.OpenSSH, PrivateFormat.PKCS8)
    ]
    tokens = [secrets.token_urlsafe(24) for _ in range(28)]
    passwords = [f'p@ss\'{secrets.token_hex(4)} "${{x}}"</&>' for _ in range(10)]
    return [*keys, *tokens, *passwords]


def _every_form(values: list[str]) -> set[str]:
    """All encodings of the values, and each of their lines in escapes of many kinds."""
    lines = [line for value in values for line in hidden_lines(value)]
    return {form.text.decode() for value in values for form in forms(value)} | {
        write(line) for line in lines for write in ESCAPES
    }


def _hiding(values: list[str]) -> Redactor:
    redactor = Redactor()
    for value in values:
        redactor.add(value)
    redactor.clean("made when first needed")
    return redactor


def _log(every_form: list[str]) -> str:
    lines: list[str] = []
    size = 0
    while size < MEGABYTES * 1_000_000:
        line = random.choice(LINES).replace("NUMBER", str(random.randrange(1_000_000)))
        if len(lines) % EVERY == 0:
            line += f" {random.choice(every_form)}"
        lines.append(line)
        size += len(line) + 1
    return "\n".join(lines)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _sed_script(values: list[str]) -> str:
    raw = [line for value in values for line in hidden_lines(value)]
    escaped = ("".join(f"\\{c}" if c in r"\/.*[]^$" else c for c in line) for line in raw)
    return "".join(f"s/{line}/***/g\n" for line in escaped)


def _sed(script: Path, text: Path) -> None:
    subprocess.run(["sed", "-f", script, text], check=True, stdout=subprocess.DEVNULL)


def _replace(every_form: list[str], log: str) -> str:
    for form in every_form:
        log = log.replace(form, "***")
    return log


def _in_chunks(redactor: Redactor, log: str) -> str:
    stream = redactor.stream()
    shown = [stream.feed(log[at : at + CHUNK]) for at in range(0, len(log), CHUNK)]
    return "".join([*shown, stream.end()])


def _time(way: Callable[[], object]) -> float:
    started = time.perf_counter()
    way()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
