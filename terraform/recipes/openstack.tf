# A BinderHub on machines of an OpenStack cloud, its name at Cloudflare.
# What is <vault> comes from the vault, all else that is <…> from you. (A required argument cannot
# be left out: Terraform demands it of this file.)
# Credentials are in the vault's section environment: OS_* of your openrc, CLOUDFLARE_API_TOKEN.

module "provider" {
  source = "../../terraform/provider/openstack"

  project_name         = "instance-name"
  nb_nodes             = 1
  instance_volume_size = 100
  ssh_authorized_keys  = ["<vault>"]
  ssh_cidrs            = ["<where you work, such as 203.0.113.7/32>"]
  os_flavor_master     = "<flavor: openstack flavor list>"
  os_flavor_node       = "<flavor: openstack flavor list>"
  image_name           = "<image: openstack image list>"
  public_network       = "Public-Network"
  is_computecanada     = false
  docker_registry      = "docker.io"
  docker_id            = "<vault>"
  docker_password      = "<vault>"
}

module "dns" {
  source = "../../terraform/dns/cloudflare"

  domain       = "<name of the hub, such as instance-name.example.org>"
  public_ip    = module.provider.public_ip
  project_name = module.provider.project_name
  proxied      = false
}

module "binderhub" {
  source = "../../terraform/binderhub/kubernetes"

  ip              = module.provider.public_ip
  project_name    = module.provider.project_name
  domain          = module.dns.domain
  admin_user      = module.provider.admin_user
  nodes           = module.provider.nodes
  binder_version  = "<version of the BinderHub chart>"
  TLS_email       = "<vault>"
  TLS_name        = "instance-name"
  mem_alloc_gb    = 4
  cpu_alloc       = 1
  docker_registry = module.provider.docker_registry
  docker_id       = module.provider.docker_id
  docker_password = module.provider.docker_password
  hub_token       = "<vault>"
  uninstall       = false # the machines go as well
}
