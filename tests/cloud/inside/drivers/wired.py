"""neutron: binds every port on every host without an agent, and writes down the floating addresses.

``floating.json`` maps each associated floating address to its port; ``floating.py`` follows it.
"""

import json
from pathlib import Path
from typing import Any

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins.ml2 import api
from oslo_config import cfg


class Driver(api.MechanismDriver):
    def initialize(self) -> None:
        for event in (events.AFTER_CREATE, events.AFTER_UPDATE, events.AFTER_DELETE):
            registry.subscribe(self._write_down, resources.FLOATING_IP, event)

    @property
    def connectivity(self) -> str:
        return str(portbindings.CONNECTIVITY_L2)

    def bind_port(self, context: Any) -> None:
        context.set_binding(
            context.segments_to_bind[0][api.ID],
            portbindings.VIF_TYPE_OVS,
            {portbindings.CAP_PORT_FILTER: True},
            status=constants.PORT_STATUS_ACTIVE,
        )

    def _write_down(self, resource: str, event: str, trigger: Any, payload: Any) -> None:
        path = Path(cfg.CONF.state_path, "floating.json")
        known = json.loads(path.read_text()) if path.exists() else {}
        state = payload.latest_state or {}
        known.pop(state.get("floating_ip_address"), None)
        if event != events.AFTER_DELETE and state.get("port_id"):
            known[state["floating_ip_address"]] = state["port_id"]
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(known))
        fresh.replace(path)
