"""Keys of ``for_each`` that are secrets: a plan with one is refused before anything is made.

Terraform itself refuses a sensitive value as a key; ``nonsensitive()`` lets it through, and types
such as ``random_id`` do not mark theirs. A key is a part of the address, which stands in the
journal, in plans and in logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from barehub.console import console
from barehub.disclosure import generated, hidden_keys, texts, without_keys
from barehub.errors import RecipeError
from barehub.redaction import Redactor

LEAVING = ("delete", "forget")
"""Actions that are allowed: they are the way out."""


def refuse(planned: Mapping[str, str], explain: Callable[[], dict[str, Any]], folder: Path) -> None:
    """See that no key in a plan is a secret: of the vault, or generated and sensitive.

    :param planned: address to action
    :param explain: tells what ``terraform show -json`` has of the plan; called only if needed
    :param folder: the instance's
    :raises RecipeError: there is one; names the resource without its key.
    """
    keyed = [a for a, action in planned.items() if '["' in a and action not in LEAVING]
    if not keyed:
        return
    made = Redactor()
    for value in _secrets(explain()):
        made.add(value)

    def redact(key: str) -> str:
        return made.clean(console.redact(key))

    secret = [without_keys(a) for a in keyed if hidden_keys(a, redact, folder) != a]
    if secret:
        told = ", ".join(dict.fromkeys(secret))
        raise RecipeError(
            f"{told}: a for_each key is a secret, and would be written to files that go to git",
            "use a name as the key and the secret as the value, without nonsensitive()",
        )


def _secrets(document: Mapping[str, Any]) -> Iterator[str]:
    for part in (document.get("prior_state", {}).get("values"), document.get("planned_values")):
        yield from _of_module((part or {}).get("root_module", {}))


def _of_module(module: Mapping[str, Any]) -> Iterator[str]:
    for resource in module.get("resources", []):
        values = resource.get("values") or {}
        yield from texts(values, resource.get("sensitive_values", False))
        yield from generated(resource["type"], values)
    for child in module.get("child_modules", []):
        yield from _of_module(child)
