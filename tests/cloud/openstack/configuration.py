"""The configuration files of the six services, for one :class:`Layout`.

Only what differs from the defaults. The traps that made a line necessary are named beside it.
"""

from __future__ import annotations

from pathlib import Path

from .layout import PASSWORD, REGION, Layout

Section = dict[str, object]
File = dict[str, Section]


def write(layout: Layout) -> None:
    """Write every service's file into ``layout.etc``."""
    layout.make_folders()
    for name, content in (
        ("keystone", _keystone(layout)),
        ("glance-api", _glance(layout)),
        ("placement", _placement(layout)),
        ("nova", _nova(layout)),
        ("neutron", _neutron(layout)),
        ("cinder", _cinder(layout)),
    ):
        (layout.etc / f"{name}.conf").write_text(_ini(content | _common(layout, name, content)))


def _ini(content: File) -> str:
    lines: list[str] = []
    for section, settings in content.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in settings.items()), ""]
    return "\n".join(lines)


def _common(layout: Layout, name: str, content: File) -> File:
    service = name.removesuffix("-api")
    default: Section = {"log_file": layout.log(service)} | content.get("DEFAULT", {})
    common: File = {
        "DEFAULT": default,
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_concurrency": {"lock_path": layout.folder / "lock"},
    }
    if service != "keystone":
        www = {"www_authenticate_uri": layout.auth_url}
        common["keystone_authtoken"] = www | _user(layout, service)
    return common


def _user(layout: Layout, name: str) -> Section:
    return {
        "auth_url": layout.auth_url,
        "auth_type": "password",
        "project_domain_name": "Default",
        "user_domain_name": "Default",
        "project_name": "service",
        "username": name,
        "password": PASSWORD,
    }


def _sqlite(layout: Layout, name: str) -> Section:
    return {"connection": f"sqlite:///{layout.database(name)}?timeout=30"}


def _keystone(layout: Layout) -> File:
    return {
        "database": _sqlite(layout, "keystone"),
        "token": {"provider": "fernet"},
        "fernet_tokens": {"key_repository": layout.folder / "keystone/fernet"},
        "cache": {"enabled": "true", "backend": "oslo_cache.dict"},
        "identity": {"password_hash_rounds": 4},  # bcrypt's lowest: every token costs one
    }


def _glance(layout: Layout) -> File:
    folder = layout.folder / "glance"
    here = "http://127.0.0.1"
    return {
        "DEFAULT": {
            "bind_host": "127.0.0.1",
            "bind_port": layout.ports.glance,
            "workers": 0,
            "enabled_backends": "fs:file",
            "node_staging_uri": f"file://{folder}/tmp",
            "transport_url": "fake://",
            "enabled_import_methods": "[glance-direct]",
            "worker_self_reference_url": f"{here}:{layout.ports.glance}",
            "use_keystone_limits": "false",
        },
        "database": _sqlite(layout, "glance"),
        "glance_store": {"default_backend": "fs"},
        "fs": {"filesystem_store_datadir": folder / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": folder / "tmp/stage"},
        "os_glance_tasks_store": {"filesystem_store_datadir": folder / "tmp/tasks"},
        "paste_deploy": {
            "flavor": "keystone",
            "config_file": _installed(layout, "glance/glance-api-paste.ini"),
        },
    }


def _installed(layout: Layout, name: str) -> Path:
    return layout.venv / "etc" / name


def _placement(layout: Layout) -> File:
    return {
        "placement_database": _sqlite(layout, "placement"),
        "api": {"auth_strategy": "keystone"},
    }


def _nova(layout: Layout) -> File:
    def peer(port: int) -> Section:
        override = {"endpoint_override": f"http://127.0.0.1:{port}"}
        return _user(layout, "nova") | {"region_name": REGION} | override

    ports = layout.ports
    return {
        "DEFAULT": {
            "state_path": layout.folder / "nova",
            "transport_url": "fake://",  # conductor, scheduler, compute and API are one process
            "host": "compute1",
            "my_ip": "127.0.0.1",
            "compute_driver": "namespaced.Driver",
            "enabled_apis": "osapi_compute",
            "osapi_compute_listen": "127.0.0.1",
            "osapi_compute_listen_port": ports.nova,
            "osapi_compute_workers": 1,
            "service_down_time": 86400,
            "report_interval": 60,
            "periodic_fuzzy_delay": 0,  # else the host is mapped to its cell up to a minute late
            "block_device_allocate_retries_interval": 1,
            "heal_instance_info_cache_interval": -1,
            "sync_power_state_interval": -1,
            "update_resources_interval": 0,
            "reserved_host_memory_mb": 0,
        },
        "workarounds": {"skip_cpu_compare_on_dest": "true"},
        "api_database": _sqlite(layout, "nova_api"),
        "database": _sqlite(layout, "nova_cell1"),
        "api": {"auth_strategy": "keystone"},
        "service_user": {"send_service_user_token": "true"} | _user(layout, "nova"),
        "neutron": peer(ports.neutron),
        "placement": peer(ports.placement),
        "glance": peer(ports.glance),
        "cinder": _user(layout, "nova")
        | {"catalog_info": "block-storage:cinder:publicURL", "os_region_name": REGION},
        "wsgi": {"api_paste_config": _installed(layout, "nova/api-paste.ini")},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 1},
        "filter_scheduler": {"build_failure_weight_multiplier": 0},  # failures are made on purpose
        "vnc": {"enabled": "false"},
        "quota": {"driver": "nova.quota.DbQuotaDriver"},
    }


def _neutron(layout: Layout) -> File:
    return {
        "DEFAULT": {
            "state_path": layout.folder / "neutron",
            "bind_host": "127.0.0.1",
            "bind_port": layout.ports.neutron,
            "transport_url": "fake://",
            "core_plugin": "ml2",
            "service_plugins": "router",
            "api_paste_config": _installed(layout, "neutron/api-paste.ini"),
            "rpc_workers": 0,
            "rpc_state_report_workers": 0,
            "send_events_interval": 1,
            "dhcp_agent_notification": "false",
            "host": "neutron1",
        },
        "database": _sqlite(layout, "neutron"),
        "nova": _user(layout, "neutron") | {"region_name": REGION, "endpoint_type": "internal"},
        "ml2": {
            "type_drivers": "local,flat",
            "tenant_network_types": "local",
            "mechanism_drivers": "wired",
            "extension_drivers": "port_security",
        },
        "ml2_type_flat": {"flat_networks": "*"},
        "quotas": {"quota_driver": "neutron.db.quota.driver_nolock.DbQuotaNoLockDriver"},
    }


def _cinder(layout: Layout) -> File:
    return {
        "DEFAULT": {
            "state_path": layout.folder / "cinder",
            "transport_url": "fake://",  # scheduler, volume and API are one process
            "host": "vol1",
            "my_ip": "127.0.0.1",
            "auth_strategy": "keystone",
            "api_paste_config": _installed(layout, "cinder/api-paste.ini"),
            "resource_query_filters_file": _installed(layout, "cinder/resource_filters.json"),
            "osapi_volume_listen": "127.0.0.1",
            "osapi_volume_listen_port": layout.ports.cinder,
            "osapi_volume_workers": 1,
            "enabled_backends": "files",
            "glance_api_servers": f"http://127.0.0.1:{layout.ports.glance}",
            "image_conversion_dir": layout.folder / "cinder/conv",
            "service_down_time": 86400,
            "scheduler_driver_init_wait_time": 1,
            "periodic_fuzzy_delay": 0,
            "scheduler_default_filters": "AvailabilityZoneFilter",
        },
        "files": {"volume_driver": "files.Driver", "volume_backend_name": "files"},
        "database": _sqlite(layout, "cinder"),
        "service_user": {"send_service_user_token": "true"} | _user(layout, "cinder"),
        "coordination": {"backend_url": f"file://{layout.folder}/cinder"},
        "nova": _user(layout, "cinder"),
    }
