"""Asks OpenStack and Cloudflare what is there: before anything is made, and after all is destroyed.

Credentials come as a mapping, the vault's section ``environment``, under the names that Terraform's
providers read (``OS_AUTH_URL``, ``CLOUDFLARE_API_TOKEN``, …); never from this process's own
environment, and never from a ``clouds.yaml``. Terraform makes things; nothing in here does.
"""
