"""What `invoke --list` costs here, against the same on an empty tasks.py."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INVOKE = Path(sys.executable).with_name("invoke")
RUNS = 40


def main() -> None:
    with tempfile.TemporaryDirectory() as empty:
        Path(empty, "tasks.py").write_text("from invoke import task\n@task\ndef t(c): pass\n")
        times: dict[str, list[float]] = {"ours": [], "empty": []}
        for _ in range(RUNS):
            for name, root in (("ours", str(ROOT)), ("empty", empty)):
                times[name].append(_time([str(INVOKE), "--search-root", root, "--list"]))
    ours, bare = (statistics.median(times[name]) for name in ("ours", "empty"))
    print(f"invoke --list: {ours * 1000:.0f} ms, on an empty tasks.py {bare * 1000:.0f} ms")
    print(f"ratio {ours / bare:.2f} (aim: 1.15), medians of {RUNS} interleaved runs")


def _time(argv: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
