"""cinder's API, scheduler and volume in one process, with no message bus."""

import eventlet

eventlet.monkey_patch()

# isort: split
import threading

import __original_module_threading as before  # as cinder's own commands do

before.current_thread.__globals__["_active"] = threading._active  # type: ignore[attr-defined]

# isort: split
import sys
import warnings

import os_brick
from cinder import i18n, objects, rpc, service, utils, version
from cinder.common import config, constants
from cinder.db import api as _registers_options  # noqa: F401
from oslo_config import cfg
from oslo_log import log

CONF = cfg.CONF


def main() -> None:
    warnings.simplefilter("ignore")
    i18n.enable_lazy()
    CONF.register_opt(cfg.StrOpt("cluster", default=None))
    objects.register_all()
    CONF(sys.argv[1:], project="cinder", version=version.version_string())
    config.set_middleware_defaults()
    log.setup(CONF, "cinder")
    utils.monkey_patch()
    os_brick.setup(CONF)
    rpc.init(CONF)
    for backend in CONF.enabled_backends:
        CONF.register_opt(cfg.StrOpt("backend_host"), group=backend)
        service.Service.create(
            host=f"{CONF.host}@{backend}",
            service_name=backend,
            binary=constants.VOLUME_BINARY,
            coordination=True,
        ).start()
    service.Service.create(binary=constants.SCHEDULER_BINARY).start()
    service.WSGIService("osapi_volume").start()
    while True:  # the green threads do the work
        eventlet.sleep(3600)


main()
