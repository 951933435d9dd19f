"""What `status` finds when somebody changed a thing behind Terraform's back: a real provider's."""

from __future__ import annotations

import json

from tests.e2e.working_hub import Hub, hub

from .providers import Providers

__all__ = ["hub"]

MACHINE = """
resource "local_file" "machine" {
  filename        = "${path.root}/machine"
  content         = "as terraform left it"
  file_permission = "0644"
}
"""


def test_what_is_gone_is_drift(providers: Providers, hub: Hub) -> None:
    providers.need("hashicorp/local")
    with (hub.folder / "modules" / "provider" / "main.tf").open("a") as file:
        file.write(MACHINE)
    hub.spawn()
    (hub.folder / "machine").unlink()
    told = json.loads(hub("status", "--json").out)
    address = "module.provider.local_file.machine"
    assert told["drift"] == {
        "problem": None,
        "outputs_change": False,
        "changes": [{"address": address, "action": "delete", "attributes": []}],
    }
    read = hub("status").out
    assert "1 not as terraform left" in read and f"gone: {address}" in read
    assert told["state"] == "up"  # visitors do not see it
    assert not (hub.folder / "machine").exists()  # and nothing was mended
