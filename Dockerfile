# The box in which `invoke spawn --container` runs: what barehub needs, and a copy of barehub for the old way
# (scripts/enter). It holds no secret and no instance, and runs as nobody in particular.
#
#   docker build --tag barehub .          podman build --tag barehub .
#
# BASE may be another Debian with Python 3.11 or newer: one that trusts your authority, one from your mirror.
# This one is the index of debian:trixie-slim of 3 August 2026, for x86-64, arm64 and others, as
# https://github.com/docker-library/repo-info/blob/05f354f0a08a211fdfed2f21845d1fccd389921d/repos/debian/remote/trixie-slim.md has it.
ARG BASE=docker.io/library/debian:trixie-slim@sha256:3a39a0592364683e6bab97937b72cad5a8fa6dcbbee90edb3bb48c7f8e94f258
# An image with terraform or tofu in /tools, to be taken instead of the OpenTofu that is downloaded and checked.
ARG TOOLS=released

FROM ${BASE} AS base
RUN apt-get -q update \
    && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
        ca-certificates git openssh-client python3 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /var/cache/debconf/*-old
# uv has authorities of its own, and takes those of the system only when told.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt

FROM base AS released
# Where the release is fetched from; what comes must have the SHA-256 that install-tools knows.
ARG BAREHUB_RELEASES=https://github.com/opentofu/opentofu/releases/download
COPY scripts/install-tools /opt/barehub/scripts/
RUN python3 /opt/barehub/scripts/install-tools /tools

# FROM and not COPY --from: only there may a build argument stand.
FROM ${TOOLS} AS tools

# .venv as on any machine: from the lock file, by its hashes (sops is among it), with python-hcl2's parser in its
# cache, which a read-only root could not keep.
FROM base AS python
RUN apt-get -q update \
    && DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends python3-venv
COPY requirements.lock /opt/barehub/
COPY scripts/venv.sh /opt/barehub/scripts/
RUN bash -euo pipefail -c 'root=/opt/barehub; . /opt/barehub/scripts/venv.sh; UV_NO_CACHE=1 venv_make requirements.lock'

FROM base
COPY --from=tools /tools /usr/local/bin
COPY --from=python /opt/barehub /opt/barehub
# What our recipes call ../../terraform, from /terraform-artifacts.
RUN ln -s /opt/barehub/terraform /terraform
COPY tasks.py /opt/barehub/
COPY scripts/enter /opt/barehub/scripts/
COPY terraform /opt/barehub/terraform
COPY barehub /opt/barehub/barehub
ENV PATH=/opt/barehub/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1
# Without a name: a container runs as whoever runs it, and this is for those who do not say.
USER 65532:65532
WORKDIR /opt/barehub
ENTRYPOINT ["/opt/barehub/scripts/enter"]
