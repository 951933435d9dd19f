"""The command line, as every test here drives it."""

from __future__ import annotations

from tests.command_line import INVOKE, ROOT, Cli, Result, cli, unseal

__all__ = ["INVOKE", "ROOT", "Cli", "Result", "cli", "unseal"]
