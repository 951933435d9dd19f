"""A Secret Service of one test alone: gnome-keyring on a D-Bus of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from barehub.patience import Patience

PASSWORD = b"of-the-login-keyring"


class SecretService:
    """gnome-keyring-daemon, unlocked; what it keeps is encrypted below ``home``."""

    def __init__(self, home: Path) -> None:
        own = {"HOME": str(home), "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}
        env = {"PATH": os.environ["PATH"], **own}
        self._bus = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
        )
        assert self._bus.stdout
        self.address = self._bus.stdout.readline().decode().strip()
        self._daemon = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**env, "DBUS_SESSION_BUS_ADDRESS": self.address},
        )
        assert self._daemon.stdin
        self._daemon.stdin.write(PASSWORD)
        self._daemon.stdin.close()
        self._wait()

    def lock(self) -> None:
        """Lock the keyring; no prompt can open it, for there is no display."""
        import secretstorage

        with self._connection() as connection:
            secretstorage.get_default_collection(connection).lock()

    def stop(self) -> None:
        """Let the daemon answer nothing any more, and not end either."""
        self._daemon.send_signal(signal.SIGSTOP)

    def stop_bus(self) -> None:
        self._bus.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        for process in (self._daemon, self._bus):
            process.kill()
            process.wait()
        assert self._bus.stdout
        self._bus.stdout.close()

    def _wait(self) -> None:
        from jeepney import DBus  # type: ignore[import-untyped]
        from jeepney.io.blocking import Proxy  # type: ignore[import-untyped]

        patience = Patience(20)
        with self._connection() as connection:
            bus = Proxy(DBus(), connection)
            while not bus.NameHasOwner("org.freedesktop.secrets")[0]:
                assert not patience.over()
                assert self._daemon.poll() is None
                time.sleep(0.02)

    def _connection(self) -> Any:
        from jeepney.io.blocking import open_dbus_connection

        return open_dbus_connection(self.address)
