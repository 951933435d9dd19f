"""A recipe of terraform_data modules that behave like a slow cloud: for tests of the driving."""

from __future__ import annotations

from pathlib import Path

RECIPE = """
module "provider" {
  source = "./modules/provider"
}

module "dns" {
  source    = "./modules/dns"
  domain    = "demo.example.org"
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source    = "./modules/binderhub"
  domain    = module.dns.domain
  api_token = "<vault>"
}
"""

PROVIDER = """
resource "terraform_data" "ip" { input = "127.0.0.1" }
resource "terraform_data" "machine" {
  provisioner "local-exec" { command = "echo provider >> ${path.root}/log; SLOW" }
}
output "public_ip" { value = terraform_data.ip.output }
"""

DNS = """
variable "domain" {}
variable "public_ip" {}
resource "terraform_data" "record" {
  input = "${var.domain} ${var.public_ip}"
  provisioner "local-exec" { command = "echo dns >> ${path.root}/log" }
}
output "domain" { value = var.domain }
"""

BINDERHUB = """
variable "domain" {}
variable "api_token" {}
resource "terraform_data" "hub" {
  input = var.api_token
  provisioner "local-exec" { command = "echo binderhub >> ${path.root}/log" }
}
output "endpoint" { value = "https://${var.domain}" }
output "connect_to" { value = "127.0.0.1:1" }
"""


def make(instance: Path, slow: str = "true") -> Path:
    """Write the recipe into an instance's folder; the file that its provisioners log to.

    ``slow`` is a shell command that the provider's machine runs while it is being made.
    """
    modules = {"provider": PROVIDER.replace("SLOW", slow), "dns": DNS, "binderhub": BINDERHUB}
    for name, text in modules.items():
        folder = instance / "modules" / name
        folder.mkdir(parents=True)
        (folder / "main.tf").write_text(text)
    (instance / "main.tf").write_text(RECIPE)
    return instance / "log"
