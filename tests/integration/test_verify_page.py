"""The page in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from barehub.verify.outputs import page
from tests.unit.verify.reported import DAY, HOSTILE, certificate, report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
MEASURE = """<!doctype html><meta charset="utf-8"><body><script>
function measure(frame) {
  const page = frame.contentDocument, item = document.createElement("p");
  const wide = [...page.querySelectorAll("main *")].filter(
    e => e.getBoundingClientRect().right > frame.width || e.getBoundingClientRect().left < 0);
  item.textContent = `${frame.width}: ${page.documentElement.scrollWidth}, ${wide.length} beyond`
    + `, ${page.querySelectorAll("script").length} scripts`;
  document.body.append(item);
}
</script>
<iframe width="320" height="600" src="page.html" onload="measure(this)"></iframe>
<iframe width="1200" height="600" src="page.html" onload="measure(this)"></iframe>
"""


@pytest.mark.skipif(not CHROMIUM, reason="no chromium on PATH: apt-get install chromium")
def test_nothing_sticks_out_on_a_phone(tmp_path: Path) -> None:
    long = "x" * 300
    lives = [(-30, 60), (-70, 20), (-90, -3), (-0.1, 90)]
    reports = [
        report(
            f"https://{'long-label.' * 8}example.org",
            certificate("l" * 64, "R11", begins=begins * DAY, ends=ends * DAY),
            certificate("R11", "Root X1"),
            machine="198.51.100.7",
            failed=HOSTILE + long,
            warned=long,
        )
        for begins, ends in lives
    ]
    (tmp_path / "page.html").write_text(page.html(reports, datetime.now(UTC)), "utf-8")
    (tmp_path / "measure.html").write_text(MEASURE, "utf-8")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--allow-file-access-from-files"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000"]
    argv = [str(CHROMIUM), *options, "--dump-dom", (tmp_path / "measure.html").as_uri()]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    measured = sorted(re.findall(r"<p>(.*?)</p>", done.stdout))
    assert measured == [
        "1200: 1200, 0 beyond, 0 scripts",
        "320: 320, 0 beyond, 0 scripts",
    ], done.stderr[-2000:]
