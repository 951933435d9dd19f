# A provider of its own in a module, so that it takes no depends_on: upstream's way.
provider "cloudflare" {
  api_token = var.cloudflare_token
}

locals {
  names = [var.binderhub_subdomain, var.grafana_subdomain, var.prometheus_subdomain]
  home  = "/home/${var.admin_user}"
}

resource "cloudflare_record" "names" {
  count = length(local.names)

  zone_id = var.cloudflare_zone_id
  type    = "A"
  name    = local.names[count.index]
  content = var.ip
  proxied = true
}

resource "random_id" "token" {
  count       = 2
  byte_length = 32
}

data "template_file" "configuration" {
  for_each = toset(["config.yaml", "prod-config.yaml"])
  template = file("${path.module}/assets/prod-config.yaml")

  vars = {
    TLS_name            = var.TLS_name
    cpu_alloc           = var.cpu_alloc
    mem_alloc           = var.mem_alloc_gb
    project_name        = var.project_name
    binderhub_subdomain = var.binderhub_subdomain
    binderhub_domain    = var.binderhub_domain
  }
}

data "template_file" "secrets" {
  template = file("${path.module}/assets/secrets.yaml")

  vars = {
    api_token              = random_id.token[0].hex
    secret_token           = random_id.token[1].hex
    docker_registry        = var.docker_registry
    docker_id              = var.docker_id
    docker_password        = var.docker_password
    cloudflare_token       = var.cloudflare_token
    grafana_admin_user     = var.grafana_admin_user
    grafana_admin_password = var.grafana_admin_password
    TLS_email              = var.TLS_email
  }
}

data "template_file" "install" {
  template = file("${path.module}/assets/install-binderhub.sh")

  vars = {
    admin_user                    = var.admin_user
    project_name                  = var.project_name
    binder_version                = var.binder_version
    binder_deployment_yaml_config = var.binder_deployment_yaml_config
  }
}

resource "terraform_data" "binderhub" {
  connection {
    host    = var.ip
    user    = var.admin_user
    timeout = "10m"
  }

  provisioner "file" {
    content     = data.template_file.configuration["prod-config.yaml"].rendered
    destination = "${local.home}/prod-config.yaml"
  }

  provisioner "file" {
    content     = data.template_file.secrets.rendered
    destination = "${local.home}/secrets.yaml"
  }

  provisioner "file" {
    content     = data.template_file.install.rendered
    destination = "${local.home}/install-binderhub.sh"
  }

  provisioner "remote-exec" {
    inline = [
      "chmod +x ${local.home}/install-binderhub.sh",
      "bash ${local.home}/install-binderhub.sh",
    ]
  }
}
