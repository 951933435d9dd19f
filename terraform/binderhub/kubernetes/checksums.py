"""Which downloads have which checksum, in files of the form that sha256sum(1) writes.

The module's own `checksums.txt` holds those of the versions that it installs by default. What it
does not know is learnt at the first download and kept in `checksums.txt` in the folder of the
recipe, which belongs in git; from then on nothing else is accepted. A line that a person writes
there beforehand pins a download from the start.
"""

from __future__ import annotations

import threading
from pathlib import Path

OWN = Path(__file__).with_name("checksums.txt")
LEARNT = Path("checksums.txt")

_learning = threading.Lock()


def expected(url: str) -> str:
    """The SHA-256 of what is at `url`, in hexadecimal; empty if it is not known yet."""
    return _read(OWN).get(url) or _read(LEARNT).get(url, "")


def learn(url: str, sha256: str) -> bool:
    """Keep a checksum that was not known; whether it was new.

    :raises ValueError: another one is known: two machines have been given two things.
    """
    with _learning:
        known = expected(url)
        if known and known != sha256:
            raise ValueError(f"{url} has had the checksum {known}, and now has {sha256}")
        if known:
            return False
        lines = _read(LEARNT) | {url: sha256}
        unborn = LEARNT.with_name(".checksums.txt.unfinished")
        text = "".join(f"{lines[one]}  {one}\n" for one in sorted(lines))
        unborn.write_text(text, encoding="ascii")
        unborn.replace(LEARNT)
        return True


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    return {words[1]: words[0] for words in lines if len(words) == 2}
