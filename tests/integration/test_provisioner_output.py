"""What a person sees of a provisioner's output, on the real terraform, which cuts slow lines."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from barehub.console import Console
from barehub.process import environment
from barehub.project import Project
from barehub.terraform.events import Progress

SECRET = "CANARY: it's a <secret>"

RECIPE = """
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    interpreter = ["python3", "-u", "-c"]
    command     = <<-PROGRAM
      import os, time
      secret = os.environ["SLOW"]
      for part in ("first\\n", "begin ", secret[:5], secret[5:8], secret[8:], " then\\n", "end"):
          os.write(1, part.encode())
          time.sleep(0.25)
    PROGRAM
  }
}
locals {
  secret = SECRET
  json   = jsonencode([local.secret])
}
output "forms" {
  value = [
    local.secret,
    local.json,
    jsonencode(local.json),
    urlencode(local.secret),
    base64encode(local.secret),
  ]
}
"""


def test_a_secret_in_slow_output_is_never_shown(tmp_path: Path) -> None:
    console = Console()
    console.hide({"slow": SECRET})
    progress, shown = Progress(stream=console.stream), []
    lines = _apply(tmp_path)
    for line in lines:
        progress.feed(line)
        shown.append(progress.doing)
    outputs = [event["hook"].get("output") for event in map(json.loads, lines) if "hook" in event]
    assert SECRET[:5] in outputs, "terraform does not cut slow lines any more"
    assert [text for text in dict.fromkeys(shown) if text][-4:] == ["begin", "***", "then", "end"]
    assert "CANARY" not in "".join(shown)


def test_every_form_in_which_terraform_writes_a_secret_is_hidden(tmp_path: Path) -> None:
    console = Console()
    console.hide({"slow": SECRET})
    events: list[dict[str, Any]] = [json.loads(line) for line in _apply(tmp_path)]
    told = [e["outputs"]["forms"].get("value") for e in events if e["type"] == "outputs"][-1]
    assert str(told).count("CANARY") == 4
    assert [console.redact(form).strip('["\\]=') for form in told] == ["***"] * 5


def _apply(folder: Path) -> list[str]:
    (folder / "main.tf").write_text(RECIPE.replace("SECRET", json.dumps(SECRET)))
    done = subprocess.run(
        [Project(folder).terraform.path, "apply", "-json", "-auto-approve"],
        cwd=folder,
        env=environment({"CHECKPOINT_DISABLE": "1", "SLOW": SECRET}),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()
