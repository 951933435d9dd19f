"""Parses Terraform files, by python-hcl2."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from barehub import reading
from barehub.errors import RecipeError

Block = dict[str, Any]

INSERTED = re.compile(r"\$\{([^}]*+)(?:\}|\Z)")
"""An expression in a text, which is how python-hcl2 writes those that stand alone, too."""

LARGEST = 256 * 1024
"""Bytes of a file that is parsed, which takes a second for every 25 KB."""

GAP = 5000
"""Blank lines in a row of a file that is parsed: python-hcl2 reads as many in half a second."""

_loading = threading.Lock()


def warm_up() -> None:
    """Load the parser, which takes longer than to parse; the first time ever, seconds."""
    with _loading:
        import hcl2

        hcl2.loads("")


def parse(path: Path) -> Block:
    """A Terraform file as python-hcl2 reads it, strings without their quotes.

    :raises RecipeError: it is not HCL; names the line.
    """
    warm_up()
    import hcl2
    from hcl2.utils import SerializationOptions
    from lark.exceptions import LarkError, UnexpectedInput

    options = SerializationOptions(
        strip_string_quotes=True, with_comments=False, explicit_blocks=False
    )
    shown = "/".join(path.parts[-3:])
    try:
        text = reading.text(path, RecipeError, shown=shown, most=LARGEST)
        _see_gaps(text, shown)
        content: Block = hcl2.loads(text, serialization_options=options)
    except UnexpectedInput as error:
        raise RecipeError(
            f"{shown} line {error.line}, column {error.column}: this is not valid HCL",
            f"terraform fmt {path}",
        ) from None
    except FileNotFoundError:
        raise RecipeError(f"{shown} cannot be read: no such file", f"ls -l {path}") from None
    except (LarkError, RecursionError):  # its visitor wraps the second in the first
        raise RecipeError(f"{shown} is nested too deeply", f"{path}   # see there") from None
    return content


def _see_gaps(text: str, shown: str) -> None:
    """See that no more than :data:`GAP` lines in a row are blank.

    :raises RecipeError: they are, for which the parser's time grows with their number's square.
    """
    length = 0
    for number, line in enumerate(text.split("\n"), 1):
        length = 0 if line.strip() else length + 1
        if length > GAP:
            raise RecipeError(f"{shown} line {number}: more than {GAP} blank lines in a row")


def named(content: Block, kind: str) -> Iterable[tuple[str, Block]]:
    """The blocks of one ``kind`` with a single label, by that."""
    for block in content.get(kind, []):
        yield from block.items()


def leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text in ``value`` with the name of the argument or the key that it is for."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(str(key), item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(name, item)
    elif isinstance(value, str):
        yield name, value


def texts(value: Any) -> Iterator[str]:
    """Every text in ``value``."""
    for _, text in leaves("", value):
        yield text
