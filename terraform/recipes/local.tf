# A BinderHub on this machine: no cloud, no Docker, no Kubernetes; builds are faked.
# What is <vault> comes from the vault. (A required argument cannot
# be left out: Terraform demands it of this file.)

module "provider" {
  source = "../../terraform/provider/local"

  project_name = "instance-name"
  port         = 8443
}

module "dns" {
  source = "../../terraform/dns/local"

  domain    = "instance-name.localhost"
  public_ip = module.provider.public_ip
}

module "binderhub" {
  source = "../../terraform/binderhub/local"

  ip             = module.provider.public_ip
  port           = module.provider.port
  domain         = module.dns.domain
  binder_version = "0.1.0"

  hub_token       = "<vault>"
  cookie_secret   = "<vault>"
  tls_certificate = "<vault>"
  tls_key         = "<vault>"
  ca_certificate  = "<vault>"
}
