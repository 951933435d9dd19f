"""cinder: each volume is a sparse file. No LVM, no iSCSI, no qemu-img, no root."""

from pathlib import Path
from typing import Any

from cinder import interface
from cinder.volume import driver
from oslo_config import cfg


@interface.volumedriver
class Driver(driver.VolumeDriver):
    VERSION = "1.0"
    CI_WIKI_NAME = "none"

    def _path(self, volume: Any) -> Path:
        return Path(cfg.CONF.state_path, "volumes", f"volume-{volume['id']}")

    def do_setup(self, context: Any) -> None:
        Path(cfg.CONF.state_path, "volumes").mkdir(exist_ok=True)

    def check_for_setup_error(self) -> None:
        pass

    def create_volume(self, volume: Any) -> None:
        with self._path(volume).open("ab") as file:
            file.truncate(volume["size"] << 30)

    def clone_image(self, context: Any, volume: Any, where: Any, meta: Any, glance: Any) -> Any:
        with self._path(volume).open("wb") as file:  # the image really comes from glance
            glance.download(context, meta["id"], file)
        self.create_volume(volume)
        return {}, True

    def create_cloned_volume(self, volume: Any, source: Any) -> None:
        self.create_volume(volume)

    def create_snapshot(self, snapshot: Any) -> None:
        pass

    def delete_snapshot(self, snapshot: Any) -> None:
        pass

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        self.create_volume(volume)

    def extend_volume(self, volume: Any, size: int) -> None:
        with self._path(volume).open("ab") as file:
            file.truncate(size << 30)

    def delete_volume(self, volume: Any) -> None:
        self._path(volume).unlink(missing_ok=True)

    def ensure_export(self, context: Any, volume: Any) -> None:
        pass

    def create_export(self, context: Any, volume: Any, connector: Any) -> None:
        pass

    def remove_export(self, context: Any, volume: Any) -> None:
        pass

    def initialize_connection(self, volume: Any, connector: Any) -> Any:
        data = {"device_path": str(self._path(volume))}
        return {"driver_volume_type": "local", "data": data}

    def terminate_connection(self, volume: Any, connector: Any, **_: Any) -> None:
        pass

    def _update_volume_stats(self) -> None:
        pool = {
            "pool_name": "files",
            "total_capacity_gb": "infinite",
            "free_capacity_gb": "infinite",
            "reserved_percentage": 0,
            "QoS_support": False,
            "multiattach": True,
            "thin_provisioning_support": True,
        }
        self._stats = {
            "volume_backend_name": self.configuration.safe_get("volume_backend_name"),
            "vendor_name": "barehub's tests",
            "driver_version": self.VERSION,
            "storage_protocol": "file",
            "pools": [pool],
        }
