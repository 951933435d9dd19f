"""The module dns/manual, driven by the real terraform, against real DNS servers."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dns.resolver
import pytest
from dns_servers import PUBLISHED, Dns, nxdomain, running

MODULE = Path(__file__).resolve().parents[2] / "terraform" / "dns" / "manual"
SECONDS = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dns]:
    with running(tmp_path_factory.mktemp("dns") / "log") as started:
        yield started


class Recipe:
    """A folder with a recipe that calls the module alone."""

    def __init__(self, folder: Path, server: Dns, domain: str) -> None:
        self.folder, self.domain = folder, domain
        self.resolver = f"{server.resolver[0]}:{server.resolver[1]}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
        self.env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        shutil.copytree(MODULE, folder / "manual")
        self.write("192.0.2.40")
        assert self.run("init", "-backend=false").returncode == 0

    def write(self, address: str, wait_seconds: int = 60) -> None:
        (self.folder / "main.tf").write_text(f"""
            module "dns" {{
              source       = "./manual"
              domain       = "{self.domain}"
              public_ip    = "{address}"
              wait_seconds = {wait_seconds}
              resolver     = "{self.resolver}"
            }}
            output "domain" {{
              value = module.dns.domain
            }}
        """)

    def argv(self, *args: str) -> list[str]:
        return ["terraform", args[0], "-input=false", "-no-color", *args[1:]]

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*args),
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def apply(self) -> subprocess.CompletedProcess[str]:
        return self.run("apply", "-auto-approve")


def test_it_says_the_record_and_waits_until_it_is_there(server: Dns, tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, server, "demo.manual.test")
    log = tmp_path / "log"
    with log.open("w") as output:
        apply = subprocess.Popen(
            recipe.argv("apply", "-auto-approve"),
            cwd=tmp_path,
            env=recipe.env,
            stdout=output,
            stderr=output,
        )
        try:
            deadline = time.monotonic() + SECONDS
            while "waiting for" not in log.read_text():
                assert apply.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            assert "demo.manual.test. 300 IN A 192.0.2.40" in log.read_text()
            assert "no record yet" in log.read_text()
            server.leads("demo.manual.test", "192.0.2.40")
            assert apply.wait(SECONDS) == 0, log.read_text()
        finally:
            apply.kill()
    assert f"demo.manual.test is 192.0.2.40, say {recipe.resolver}" in log.read_text()
    assert 'domain = "demo.manual.test"' in log.read_text()
    assert recipe.run("plan", "-detailed-exitcode").returncode == 0

    gone = recipe.run("destroy", "-auto-approve")
    assert gone.returncode == 0
    assert "remove this record" in gone.stdout
    assert "demo.manual.test. 300 IN A 192.0.2.40" in gone.stdout


def test_the_deadline_says_what_is_there_instead_and_a_rerun_goes_on(
    server: Dns, tmp_path: Path
) -> None:
    server.leads("late.manual.test", "198.51.100.9")
    recipe = Recipe(tmp_path, server, "late.manual.test")
    recipe.write("192.0.2.40", wait_seconds=1)
    late = recipe.apply()
    assert late.returncode == 1
    assert "error: late.manual.test is not 192.0.2.40 after 1 s" in late.stdout
    assert "198.51.100.9" in late.stdout
    assert "hint: make the record  late.manual.test. 300 IN A 192.0.2.40" in late.stdout

    # a record beside the right one: some visitors would go astray
    server.leads("late.manual.test", "192.0.2.40")
    assert recipe.apply().returncode == 1

    server.tell("clear-a", host="late.manual.test")
    server.leads("late.manual.test", "192.0.2.40")
    assert recipe.apply().returncode == 0


def test_another_address_is_waited_for_again(server: Dns, tmp_path: Path) -> None:
    server.leads("moved.manual.test", "192.0.2.40")
    recipe = Recipe(tmp_path, server, "moved.manual.test")
    assert recipe.apply().returncode == 0
    recipe.write("192.0.2.41", wait_seconds=1)
    assert recipe.apply().returncode == 1
    server.tell("clear-a", host="moved.manual.test")
    server.leads("moved.manual.test", "192.0.2.41")
    assert recipe.apply().returncode == 0


def test_an_ipv6_address_is_an_aaaa_record(server: Dns, tmp_path: Path) -> None:
    server.leads("six.manual.test", "2001:db8::40", "192.0.2.1")
    recipe = Recipe(tmp_path, server, "six.manual.test")
    recipe.write("2001:DB8:0::40")
    done = recipe.apply()
    assert done.returncode == 0, done.stdout
    assert "six.manual.test. 300 IN AAAA 2001:db8::40" in done.stdout


def test_a_resolver_that_fails_is_named(server: Dns, tmp_path: Path) -> None:
    server.tell("set-servfail", host="bad.manual.test")
    recipe = Recipe(tmp_path, server, "bad.manual.test")
    recipe.write("192.0.2.40", wait_seconds=1)
    failed = recipe.apply()
    assert failed.returncode == 1
    assert "127.0.0.1 does not answer" in failed.stdout


@pytest.fixture
def record() -> ModuleType:
    """The module's program, as a module of Python."""
    spec = importlib.util.spec_from_file_location("record", MODULE / "record.py")
    assert spec and spec.loader
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def _as_the_system_s(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Ask ``port`` in place of what resolv.conf names."""
    make = dns.resolver.Resolver

    def resolver(configure: bool = True) -> Any:
        made = make(configure=False)
        if configure:
            made.nameservers, made.port = ["127.0.0.1"], port
        return made

    monkeypatch.setattr(dns.resolver, "Resolver", resolver)


def test_the_zone_s_own_servers_are_asked_past_any_cache(
    record: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver says NXDOMAIN; the zone's server, asked without recursion, has the record."""
    with nxdomain(PUBLISHED) as port:
        _as_the_system_s(monkeypatch, port)
        assert record.look("hub.zone.invalid", "A", "") == {"ns.zone.invalid": ["192.0.2.55"]}


def test_where_the_zone_is_not_known_the_resolver_counts(
    record: ModuleType, server: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.leads("plain.manual.test", "192.0.2.40")
    _as_the_system_s(monkeypatch, server.resolver[1])
    assert record.look("plain.manual.test", "A", "") == {"the machine's resolver": ["192.0.2.40"]}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_resolvers_in_every_form(record: ModuleType, given: str, meant: tuple[str, int]) -> None:
    assert record.place(given) == meant


def test_without_dnspython_the_machine_s_resolver_is_asked() -> None:
    given = {"DOMAIN": "localhost", "ADDRESS": "127.0.0.1", "WAIT_SECONDS": "1", "RESOLVER": ""}
    done = subprocess.run(
        [sys.executable, "-S", "-B", MODULE / "record.py", "await"],  # -S: no site-packages
        env={f"RECORD_{name}": value for name, value in given.items()},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "localhost is 127.0.0.1, say the machine's resolver" in done.stdout
