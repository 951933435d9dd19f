"""From bare metal to a verified BinderHub, with no secret left behind."""

import os
from pathlib import Path

__version__ = "0.1.0"


def _let_no_other_write() -> None:
    """Take the right to write from group and others, whatever umask(2) this process was given.

    All that is made from here on is written by its owner alone; a stricter umask stays. Python has
    by then made the folders of this package's and of tasks.py's compiled form.
    """
    given = os.umask(0o077)
    os.umask(given | 0o022)
    if given & 0o022 == 0o022:
        return
    here = Path(__file__).parent
    for folder in (here / "__pycache__", here.parent / "__pycache__"):
        try:
            folder.chmod(folder.stat().st_mode & 0o7755)
        except OSError:  # there is none, or it is another user's
            continue


_let_no_other_write()  # first of all: every entry imports this package before it makes a file
