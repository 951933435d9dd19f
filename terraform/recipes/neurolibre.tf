# NeuroLibre's own modules, as they are, at one commit of theirs (2024-09-23). What is "<vault>"
# comes from the vault; what else is in <…> is yours to write, or to put there:
#   invoke vault.set variables.NAME --name instance-name
# Credentials go there, too: environment.OS_…, environment.CLOUDFLARE_API_TOKEN, ssh.private_key.
# `invoke check` lists all that is missing, and what these modules make nothing of.
#
# The hub is https://instance-name.conp.cloud: the module binderhub makes that record, behind
# Cloudflare's proxy, and two more. So the record of the module dns needs a name of its own.

variable "cloudflare_zone_id" {
  type = string
}

module "provider" {
  source = "git::https://github.com/neurolibre/terraform-binderhub.git//terraform-modules/providers/openstack-k8s?ref=eb4571085c49c54490bdf488807ddbb342d9e280"

  project_name         = "instance-name"
  nb_nodes             = 1
  instance_volume_size = 100
  os_flavor_master     = "c4-30gb-83"
  os_flavor_node       = "c16-60gb-392"
  image_name           = "Ubuntu-18.04.3-Bionic-x64-2020-01"
  is_computecanada     = true
  cc_private_network   = "<the project's private network>"
  public_network       = "Public-Network"
  ssh_authorized_keys  = ["<vault>"]

  # The private half of the first of those keys, in a file on this machine: this module copies it
  # into the master's user data, and into the state. Use a key for that and nothing else.
  ssh_private_key_path = "<a folder>"
  ssh_private_key_name = "<a file in it>"

  # The server with the data, which is there already.
  sftp_secgroup_name = "<its security group>"
  sftp_ip_address    = "<its address>"
  sftp_mnt_dir       = "/DATA"

  docker_registry = "binder-registry.conp.cloud"
  docker_id       = "<vault>"
  docker_password = "<vault>"
}

module "dns" {
  source = "git::https://github.com/neurolibre/terraform-binderhub.git//terraform-modules/dns/cloudflare?ref=eb4571085c49c54490bdf488807ddbb342d9e280"

  domain    = "instance-name-machine.conp.cloud"
  zone_id   = var.cloudflare_zone_id
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source = "git::https://github.com/neurolibre/terraform-binderhub.git//terraform-modules/binderhub?ref=eb4571085c49c54490bdf488807ddbb342d9e280"

  ip                            = module.provider.public_ip
  admin_user                    = module.provider.admin_user
  project_name                  = module.provider.project_name
  binder_version                = "v0.2.0-n121.h6d936d7" # one of https://hub.jupyter.org/helm-chart
  binder_deployment_yaml_config = "prod-config.yaml"
  binderhub_subdomain           = "instance-name"
  binderhub_domain              = "conp.cloud"
  TLS_name                      = "instance-name-conp-cloud"
  TLS_email                     = "<vault>"
  mem_alloc_gb                  = 4
  cpu_alloc                     = 1

  docker_registry = module.provider.docker_registry
  docker_id       = module.provider.docker_id
  docker_password = module.provider.docker_password

  cloudflare_token   = "<vault>"
  cloudflare_zone_id = var.cloudflare_zone_id

  grafana_subdomain      = "grafana-instance-name"
  grafana_admin_user     = "<vault>"
  grafana_admin_password = "<vault>"
  prometheus_subdomain   = "prometheus-instance-name"
}

# What barehub verifies: these modules do not tell it.
output "binderhub_endpoint" {
  value = "https://instance-name.conp.cloud"
}
