"""nova's API, scheduler, conductor and compute in one process, with no message bus."""

import nova.monkey_patch

# isort: split
import sys
import warnings
from pathlib import Path

import eventlet
import nova.conf
import nova.virt
import os_brick
import os_vif
from nova import config, objects, service
from nova.compute import rpcapi as compute
from nova.conductor import rpcapi as conductor
from nova.scheduler import rpcapi as scheduler
from oslo_log import log

# nova looks for drivers below nova.virt only
nova.virt.__path__.append(str(Path(__file__).resolve().parent / "drivers"))


def main() -> None:
    warnings.simplefilter("ignore")
    config.parse_args(sys.argv)
    log.setup(nova.conf.CONF, "nova")
    os_brick.setup(nova.conf.CONF)
    os_vif.initialize()
    objects.register_all()
    objects.Service.enable_min_version_cache()
    for binary, topic in (
        ("nova-conductor", conductor.RPC_TOPIC),
        ("nova-scheduler", scheduler.RPC_TOPIC),
        ("nova-compute", compute.RPC_TOPIC),
    ):
        service.Service.create(binary=binary, topic=topic).start()
    service.WSGIService("osapi_compute").start()
    while True:  # the green threads do the work
        eventlet.sleep(3600)


main()
