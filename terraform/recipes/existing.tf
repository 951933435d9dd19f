# A BinderHub on machines that are already there, by SSH: one master, and nodes for the visitors.
# What is <vault> comes from the vault; what else stands in <…> is yours to write.

module "provider" {
  source = "../../terraform/provider/existing"

  project_name    = "instance-name"
  master          = "<public address of the master>"
  nodes           = ["<address of a node, as the master reaches it>"]
  admin_user      = "ubuntu"
  docker_registry = "docker.io"
  docker_id       = "<vault>"
  docker_password = "<vault>"
}

# Says which record to make, and waits for it.
module "dns" {
  source = "../../terraform/dns/manual"

  domain    = "<name of the hub, such as hub.example.org>"
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source = "../../terraform/binderhub/kubernetes"

  project_name    = module.provider.project_name
  ip              = module.provider.public_ip
  nodes           = module.provider.nodes
  admin_user      = module.provider.admin_user
  ssh_port        = module.provider.ssh_port
  domain          = module.dns.domain
  binder_version  = "1.0.0-0.dev.git.3983.h383374de"
  TLS_email       = "<e-mail address for Let's Encrypt>"
  mem_alloc_gb    = 4
  cpu_alloc       = 1
  docker_registry = module.provider.docker_registry
  docker_id       = module.provider.docker_id
  docker_password = module.provider.docker_password
  hub_token       = "<vault>"
}
