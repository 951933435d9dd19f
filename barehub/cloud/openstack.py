"""What OpenStack has: what a recipe may choose from, its quotas, and the things of a project."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from barehub.cloud.web import (
    Environment,
    Refused,
    session,
    shortened,
    trusted,
    unreachable,
)
from barehub.errors import CloudError

if TYPE_CHECKING:
    from keystoneauth1.access.access import AccessInfoV3
    from keystoneauth1.identity import base
    from openstack.connection import Connection

ADDRESS = "OS_AUTH_URL"

T = TypeVar("T")


@dataclass(frozen=True)
class Flavor:
    """The hardware of a server."""

    name: str
    vcpus: int
    ram_mb: int
    disk_gb: int


@dataclass(frozen=True)
class Image:
    """A disk that a server starts from; ``min_disk_gb`` is what its volume must have."""

    id: str
    name: str
    min_disk_gb: int
    updated: str


@dataclass(frozen=True)
class Network:
    """A network that the project sees; floating addresses come from an ``external`` one."""

    id: str
    name: str
    external: bool


@dataclass(frozen=True)
class Quota:
    """How many of something the project may have, and has; a ``limit`` of -1 is none."""

    of: str
    limit: int
    used: int

    @property
    def free(self) -> int | None:
        """How many more there may be; nothing when that is not limited."""
        return None if self.limit < 0 else max(0, self.limit - self.used)


def has_credentials(env: Environment) -> bool:
    """Whether ``env`` says where an OpenStack is and who asks."""
    who = ("OS_USERNAME", "OS_USER_ID", "OS_TOKEN", "OS_AUTH_TOKEN", "OS_APPLICATION_CREDENTIAL_ID")
    named = any(env.get(name) for name in (*who, "OS_APPLICATION_CREDENTIAL_NAME"))
    return bool(env.get(ADDRESS)) and named


class Cloud:
    """One project of an OpenStack cloud, seen by one user.

    Nothing is asked before the first method is called; each of them raises :class:`CloudError` when
    the cloud does not answer, or refuses.

    :param env: the vault's section ``environment``; must pass :func:`has_credentials`
    """

    def __init__(self, env: Environment) -> None:
        self._env = env

    @cached_property
    def connection(self) -> Connection:
        """openstacksdk's own, for what has no method here; to be used inside :meth:`asking`."""
        from keystoneauth1.session import Session
        from openstack.config.cloud_region import from_session
        from openstack.connection import Connection

        for name in ("keystoneauth", "openstack"):  # they say on stderr what we tell as an error
            logging.getLogger(name).addHandler(logging.NullHandler())
        env = self._env
        verify = trusted(env, env.get("OS_CACERT", ""))
        if env.get("OS_INSECURE", "").lower() in ("1", "true", "yes"):
            verify = False
        keys = (env.get("OS_CERT", ""), env.get("OS_KEY", ""))
        made = Session(
            auth=_who(env),
            session=session(),
            verify=verify,
            cert=keys if all(keys) else None,
        )
        kind = (env.get("OS_INTERFACE") or env.get("OS_ENDPOINT_TYPE") or "public").lower()
        region = from_session(
            made,
            name="barehub",
            region_name=env.get("OS_REGION_NAME") or None,
            interface=kind.removesuffix("url"),
        )
        return Connection(config=region)

    @contextmanager
    def asking(self, what: str) -> Iterator[Connection]:
        """The connection; what goes wrong with it is told in our words.

        :param what: what is asked for, for the error: ``the flavors``
        :raises CloudError: the cloud does not answer, or refuses
        """
        from keystoneauth1 import exceptions as keystone
        from openstack import exceptions as sdk

        try:
            yield self.connection
        except (keystone.Unauthorized, keystone.MissingRequiredOptions):
            raise _refused(self._env) from None
        except sdk.HttpException as error:
            if error.status_code == 401:
                raise _refused(self._env) from None
            said = shortened(error.details or error.message)
            raise CloudError(f"OpenStack refuses {what}: {error.status_code}, {said}") from None
        except (keystone.ConnectionError, OSError) as error:  # requests' own are OSErrors
            raise self._unreachable(what, error) from None
        except keystone.BadRequest as error:  # who asks, or for which project, is not all said
            said = shortened(error.message).partition(". ")[0]
            raise Refused(
                f"OpenStack does not understand the credentials: {said}",
                "invoke vault.show   (environment.OS_USER_DOMAIN_NAME, OS_PROJECT_NAME, …)",
            ) from None
        except (keystone.CatalogException, sdk.ServiceDisabledException):
            raise CloudError(
                f"OpenStack has no service here to ask for {what}",
                "invoke vault.show   (is environment.OS_REGION_NAME right, and a project given?)",
            ) from None
        except (keystone.ClientException, sdk.SDKException, ValueError) as error:
            raise CloudError(
                f"OpenStack cannot be asked for {what}: {type(error).__name__}",
                f"invoke vault.show   (is environment.{ADDRESS} an identity service's, with /v3?)",
            ) from None

    def _unreachable(self, what: str, error: Exception) -> CloudError:
        """The identity service does not answer, or one of those that it names."""
        if urlsplit(self._env[ADDRESS]).netloc in str(error):
            return unreachable("OpenStack", f"environment.{ADDRESS}", error)
        place = f"the address that its catalog has for {what}"
        return unreachable("OpenStack", place, error, "openstack catalog list")

    def _all(self, what: str, ask: Callable[[Connection], T]) -> T:
        with self.asking(what) as connection:
            return ask(connection)

    def flavors(self) -> list[Flavor]:
        """The flavors that the project may use, the smallest first."""
        found = self._all("the flavors", lambda c: list(c.compute.flavors()))
        flavors = [Flavor(str(f.name), int(f.vcpus), int(f.ram), int(f.disk)) for f in found]
        return sorted(flavors, key=lambda f: (f.vcpus, f.ram_mb, f.name))

    def images(self) -> list[Image]:
        """The images that a server can start from, by name, the newest first of one name."""
        found = self._all("the images", lambda c: list(c.image.images(status="active")))
        images = [
            Image(str(i.id), str(i.name or ""), int(i.min_disk or 0), str(i.updated_at or ""))
            for i in found
        ]
        newest = sorted(images, key=lambda image: image.updated, reverse=True)
        return sorted(newest, key=lambda image: image.name)

    def networks(self) -> list[Network]:
        """The networks that the project sees: its own, shared and external ones."""
        found = self._all("the networks", lambda c: list(c.network.networks()))
        networks = [
            Network(str(n.id), str(n.name or ""), bool(n.is_router_external)) for n in found
        ]
        return sorted(networks, key=lambda network: network.name)

    def keypairs(self) -> list[str]:
        """The names of the user's key pairs."""
        found = self._all("the key pairs", lambda c: list(c.compute.keypairs()))
        return sorted(str(keypair.name) for keypair in found)

    def faults(self) -> dict[str, str]:
        """Why servers are in ERROR, in the cloud's own words, by their ids."""
        found = self._all(
            "the servers that failed",  # a list does not say why: each is asked
            lambda c: [c.compute.get_server(s.id) for s in c.compute.servers(status="ERROR")],
        )
        told = {str(s.id): (s.fault or {}).get("message") for s in found}
        return {id: shortened(message) for id, message in told.items() if message}

    def quotas(self) -> dict[str, Quota]:
        """What the project may have of each kind, by the name in ``openstack quota show``."""
        found = [*self._compute_quotas(), *self._volume_quotas(), *self._network_quotas()]
        return {quota.of: quota for quota in found}

    def _compute_quotas(self) -> list[Quota]:
        limits = self._all("the compute quota", lambda c: c.compute.get_limits()).absolute
        return [
            Quota("instances", limits.instances, limits.instances_used),
            Quota("cores", limits.total_cores, limits.total_cores_used),
            Quota("ram", limits.total_ram, limits.total_ram_used),
            Quota("key-pairs", limits.keypairs, len(self.keypairs())),
        ]

    def _volume_quotas(self) -> list[Quota]:
        limits = self._all("the volume quota", lambda c: c.block_storage.get_limits()).absolute
        return [
            Quota("volumes", limits.max_total_volumes, limits.total_volumes_used),
            Quota("gigabytes", limits.max_total_volume_gigabytes, limits.total_gigabytes_used),
        ]

    def _network_quotas(self) -> list[Quota]:
        details = self._all(
            "the network quota", lambda c: c.network.get_quota(self.project, details=True)
        )
        kinds = {
            "floating-ips": details.floating_ips,
            "ports": details.ports,
            "networks": details.networks,
            "subnets": details.subnets,
            "routers": details.routers,
            "secgroups": details.security_groups,
        }
        return [
            Quota(of, told["limit"], told["used"] + int(told.get("reserved", 0)))
            for of, told in kinds.items()
            if isinstance(told, dict)
        ]

    @property
    def project(self) -> str:
        """The id of the project that the credentials are for.

        :raises CloudError: they are for none, and nothing can be listed
        """
        if not self.access.project_id:
            raise Refused(
                "the OpenStack credentials are for no project",
                "invoke vault.set environment.OS_PROJECT_NAME",
            )
        return str(self.access.project_id)

    @cached_property
    def access(self) -> AccessInfoV3:
        """What the cloud says of the credentials: user, project, roles."""
        with self.asking("a token") as connection:
            auth: Any = connection.session.auth
            return auth.get_access(connection.session)  # type: ignore[no-any-return]


def _who(env: Environment) -> base.BaseIdentityPlugin:
    """The login that ``env`` describes, in the order in which Terraform's provider prefers them."""
    from keystoneauth1 import identity

    url = env[ADDRESS]
    user: dict[str, Any] = {
        "username": env.get("OS_USERNAME") or None,
        "user_id": env.get("OS_USER_ID") or None,
        "user_domain_id": _first(env, "OS_USER_DOMAIN_ID", "OS_DOMAIN_ID"),
        "user_domain_name": _first(env, "OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME"),
    }
    if secret := env.get("OS_APPLICATION_CREDENTIAL_SECRET"):
        return identity.V3ApplicationCredential(
            url,
            secret,
            application_credential_id=env.get("OS_APPLICATION_CREDENTIAL_ID") or None,
            application_credential_name=env.get("OS_APPLICATION_CREDENTIAL_NAME") or None,
            **(user if not env.get("OS_APPLICATION_CREDENTIAL_ID") else {}),
        )
    scope: dict[str, Any] = {
        "project_id": _first(env, "OS_PROJECT_ID", "OS_TENANT_ID"),
        "project_name": _first(env, "OS_PROJECT_NAME", "OS_TENANT_NAME"),
        "project_domain_id": _first(env, "OS_PROJECT_DOMAIN_ID", "OS_DOMAIN_ID"),
        "project_domain_name": _first(env, "OS_PROJECT_DOMAIN_NAME", "OS_DOMAIN_NAME"),
        "default_domain_id": env.get("OS_DEFAULT_DOMAIN") or None,
    }
    if token := _first(env, "OS_TOKEN", "OS_AUTH_TOKEN"):
        return identity.Token(url, token, **scope)
    return identity.Password(url, password=env.get("OS_PASSWORD", ""), **user, **scope)


def _first(env: Environment, *names: str) -> str | None:
    return next((env[name] for name in names if env.get(name)), None)


def _refused(env: Environment) -> Refused:
    secrets = ("OS_APPLICATION_CREDENTIAL_SECRET", "OS_TOKEN", "OS_AUTH_TOKEN", "OS_PASSWORD")
    secret = next((name for name in secrets if env.get(name)), secrets[-1])
    return Refused(
        f"OpenStack refuses the credentials: environment.{secret}, or who it is for",
        f"invoke vault.set environment.{secret}",
    )
