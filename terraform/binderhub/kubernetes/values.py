"""What is installed: the values of the charts, and the objects beside them; no input or output.

The chart's own ingresses stay off: two of them for one host, each with the same certificate, fight
(https://github.com/2i2c-org/infrastructure/issues/8016). One Ingress has both paths.
"""

from __future__ import annotations

import copy
import json
from typing import Any

NAMESPACE = "binderhub"
HUB_PATH = "/jupyter/"
PURPOSE = "hub.jupyter.org/node-purpose"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

Object = dict[str, Any]

# Reached by nothing that a visitor runs: the machines, other networks behind them, and the
# cloud's metadata service (RFC 1918, 3927, 6598).
PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]

TOLERATION = {"key": CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"}


def core(single: bool) -> Object:
    """Where the hub's own pods run: on the master, whatever it is called."""
    if single:
        return {}
    return {"nodeSelector": {PURPOSE: "core"}, "tolerations": [TOLERATION]}


def cert_manager(single: bool) -> Object:
    """Values of the chart cert-manager: its custom resources, and every pod on the master."""
    place = core(single)
    return {
        "crds": {"enabled": True, "keep": False},
        **place,
        **{part: place for part in ("webhook", "cainjector", "startupapicheck") if place},
    }


def binderhub(settings: Object, secrets: Object) -> Object:
    """Values of the chart binderhub; whatever `settings["values"]` says comes last."""
    single = settings["single"]
    registry, account = settings["docker_registry"], secrets["docker_id"]
    ours: Object = {
        "imageBuilderType": "dind",
        "service": {"type": "ClusterIP"},
        "ingress": {"enabled": False},
        "registry": {"url": auth_url(registry), **_account(secrets, "username", "password")},
        "config": {
            "BinderHub": {
                "use_registry": True,
                "image_prefix": image_prefix(registry, account, settings["project_name"]),
                "hub_url": f"https://{settings['domain']}{HUB_PATH}",
                "hub_url_local": f"http://proxy-public{HUB_PATH}",
                "build_node_selector": {PURPOSE: "user"},
            }
        },
        **core(single),
        "jupyterhub": _jupyterhub(settings, secrets),
    }
    if account:
        ours["jupyterhub"]["imagePullSecret"] = {
            "create": True,
            "registry": auth_url(registry),
            **_account(secrets, "username", "password"),
        }
    return merged(ours, settings["values"])


def _jupyterhub(settings: Object, secrets: Object) -> Object:
    """Values of the chart that the one of BinderHub brings along: the hub, and people's servers."""
    single = settings["single"]
    memory, cpu = f"{settings['mem_alloc_gb']}G", settings["cpu_alloc"]
    affinity = "ignore" if single else "require"
    return {
        "hub": {
            "baseUrl": HUB_PATH,
            "services": {"binder": {"apiToken": secrets["hub_token"]}},
            **core(single),
        },
        "proxy": {"service": {"type": "ClusterIP"}, "chp": core(single)},
        "ingress": {"enabled": False},
        "singleuser": {
            "memory": {"limit": memory, "guarantee": memory},
            "cpu": {"limit": cpu, "guarantee": cpu},
            "cloudMetadata": {"blockWithIptables": True},
            "networkPolicy": {
                "enabled": True,
                "egressAllowRules": {
                    "cloudMetadataServer": False,
                    "dnsPortsCloudMetadataServer": False,
                    "dnsPortsPrivateIPs": False,
                    "nonPrivateIPs": False,
                    "privateIPs": False,
                },
                "egress": fence(settings["reachable_networks"]),
            },
        },
        "scheduling": {
            "userScheduler": {"enabled": False},
            "userPods": {"nodeAffinity": {"matchNodePurpose": affinity}},
        },
    }


def _account(secrets: Object, name: str, password: str) -> Object:
    """The account at the registry; nothing for a registry without accounts."""
    if not secrets["docker_id"]:
        return {}
    return {name: secrets["docker_id"], password: secrets["docker_password"]}


def auth_url(registry: str) -> str:
    """The registry as a docker config.json calls it."""
    if registry in ("", "docker.io"):
        return "https://index.docker.io/v1/"
    return f"https://{registry}"


def image_prefix(registry: str, account: str, project: str) -> str:
    """What the names of built images begin with; docker.io wants the account in it."""
    if registry in ("", "docker.io"):
        return f"{account}/{project}-"
    return f"{registry}/{project}-"


def fence(reachable: list[str]) -> list[Object]:
    """Where pods may go, as rules of a NetworkPolicy: the internet, and these private networks."""
    world = {"ipBlock": {"cidr": "0.0.0.0/0", "except": PRIVATE}}
    return [{"to": [world, *({"ipBlock": {"cidr": cidr}} for cidr in reachable)]}]


def names() -> Object:
    """The rule that lets pods resolve names, which k3s' own DNS does."""
    return {
        "to": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
        ],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }


def base(reachable: list[str]) -> list[Object]:
    """The objects that come first: the namespace, the ingress controller's settings, the fence.

    Traefik listens on the master's own ports: behind k3s' service load balancer every visitor has
    the same address, and BinderHub counts launches by address.
    """
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "helm.cattle.io/v1",
            "kind": "HelmChartConfig",
            "metadata": {"name": "traefik", "namespace": "kube-system"},
            "spec": {"valuesContent": json.dumps(TRAEFIK)},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "builds", "namespace": NAMESPACE},
            "spec": {
                "podSelector": {
                    "matchExpressions": [
                        {
                            "key": "component",
                            "operator": "In",
                            "values": ["image-builder", "binderhub-build"],
                        }
                    ]
                },
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [],
                "egress": [names(), *fence(reachable)],
            },
        },
    ]


TRAEFIK = {
    "deployment": {"kind": "DaemonSet"},
    "nodeSelector": {CONTROL_PLANE: "true"},
    "updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
    "ports": {"web": {"hostPort": 80}, "websecure": {"hostPort": 443}},
}


def site(settings: Object) -> list[Object]:
    """The objects that publish the hub: its issuer, its redirect, its one Ingress."""
    domain, certificate = settings["domain"], settings["TLS_name"]
    middlewares = [f"{NAMESPACE}-{name}@kubernetescrd" for name in ("https", "hsts")]
    annotations = {
        "cert-manager.io/cluster-issuer": "letsencrypt",
        "traefik.ingress.kubernetes.io/router.middlewares": ",".join(middlewares),
    }
    return [
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "ClusterIssuer",
            "metadata": {"name": "letsencrypt"},
            "spec": {
                "acme": {
                    "server": settings["acme_server"],
                    "email": settings["TLS_email"],
                    "privateKeySecretRef": {"name": "letsencrypt-account"},
                    "solvers": [{"http01": {"ingress": {"ingressClassName": "traefik"}}}],
                }
            },
        },
        _middleware("https", {"redirectScheme": {"scheme": "https", "permanent": True}}),
        _middleware("hsts", {"headers": {"stsSeconds": 31536000}}),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "hub", "namespace": NAMESPACE, "annotations": annotations},
            "spec": {
                "ingressClassName": "traefik",
                "tls": [{"hosts": [domain], "secretName": certificate}],
                "rules": [
                    {
                        "host": domain,
                        "http": {"paths": [_path(HUB_PATH, "proxy-public"), _path("/", "binder")]},
                    }
                ],
            },
        },
    ]


def _middleware(name: str, spec: Object) -> Object:
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "Middleware",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def _path(path: str, service: str) -> Object:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {"path": path, "pathType": "Prefix", "backend": backend}


def merged(ours: Object, theirs: Object) -> Object:
    """`theirs` over `ours`: mappings are merged, anything else is replaced, as Helm does it."""
    result = copy.deepcopy(ours)
    for key, value in theirs.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result
