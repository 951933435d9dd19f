"""Where text goes: streams whose reader may vanish, and what other programs print on them."""

from __future__ import annotations

import errno
from codecs import getincrementaldecoder
from typing import Any, TextIO

from barehub.harmless import harmless
from barehub.redaction import Stream
from barehub.system_errors import cannot

LONGEST = 64 * 1024
"""Characters of a line that another program prints; a longer one is broken."""

GONE = (errno.EPIPE, errno.EIO)
"""System errors of a stream whose reader has gone away: `head`, a terminal."""


class Lasting:
    """A text stream whose reader may vanish: then writing to it does not raise.

    ``answers`` says that what is written was asked for: that it cannot be stored is an error.
    """

    def __init__(self, stream: TextIO, *, answers: bool = False) -> None:
        self._stream, self._answers = stream, answers

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            return self._stream.write(text.encode("ascii", "replace").decode())
        except (OSError, ValueError) as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._failed(error)

    def write_bytes(self, content: bytes) -> None:
        """``content`` as it is, behind all that was written before."""
        self.flush()
        try:
            self._stream.buffer.write(content)
            self._stream.buffer.flush()
        except (OSError, ValueError) as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        """:raises UsageError: once: whoever asked for it does not get it."""
        if self._answers and isinstance(error, OSError) and error.errno not in GONE:
            self._answers = False
            raise cannot("written", ".", error, shown="standard output")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Foreign:
    """Passes on what another program prints, line by line as it comes, made harmless."""

    def __init__(self, to: Lasting, secrets: Stream) -> None:
        self._to, self._secrets = to, secrets
        self._decoder = getincrementaldecoder("utf-8")("backslashreplace")
        self._line = ""

    def feed(self, chunk: bytes) -> None:
        """The next bytes, cut anywhere."""
        *lines, self._line = (self._line + self._secrets.feed(self._decoder.decode(chunk))).split(
            "\n"
        )
        if len(self._line) > LONGEST:
            lines, self._line = [*lines, self._line], ""
        for line in lines:
            self._print(line)

    def end(self) -> None:
        """Nothing follows."""
        self._line += self._secrets.end(self._decoder.decode(b"", final=True))
        if self._line:
            self._print(self._line)
            self._line = ""

    def _print(self, line: str) -> None:
        self._to.write(harmless(line.removesuffix("\r")) + "\n")
        self._to.flush()
