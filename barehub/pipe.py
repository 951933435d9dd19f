"""Private values through a pipe: for a child whose own children inherit its descriptors."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from barehub.process import PrivateFile

CHUNK = 65536


@contextmanager
def piped_variables(values: Mapping[str, Any], folder: Path) -> Iterator[PrivateFile | None]:
    """Give ``values`` to one child as ``-var-file``; without any there is no file.

    The child gets the reading end of a pipe (pipe(7)), by a name in ``folder`` that Terraform takes
    for JSON. It reads it once, before it starts anything: what it starts inherits an empty pipe.
    When we die, the pipe ends, and nothing waits for it.
    """
    if not values:
        yield None
        return
    reader, writer = os.pipe()
    content = json.dumps(dict(values)).encode()
    server = threading.Thread(target=_write, args=(writer, content), daemon=True)
    server.start()
    name = folder / "ephemeral.tfvars.json"
    try:
        name.symlink_to(f"/dev/fd/{reader}")
        yield PrivateFile(str(name), (reader,))
    finally:
        name.unlink(missing_ok=True)
        while os.read(reader, CHUNK):  # what was not read must not stay in it
            pass
        server.join()
        os.close(reader)


def _write(writer: int, content: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as stream:
        stream.write(content)
