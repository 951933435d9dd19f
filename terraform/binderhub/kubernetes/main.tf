terraform {
  required_version = ">= 1.6"
}

locals {
  cluster = jsonencode({
    project_name = var.project_name
    ip           = var.ip
    nodes        = var.nodes
    admin_user   = var.admin_user
    ssh_port     = var.ssh_port
    host_keys    = var.host_keys
    k3s_version  = var.k3s_version
    mirror       = var.mirror
    wait_seconds = var.wait_seconds
    uninstall    = var.uninstall
  })
  settings = jsonencode({
    domain               = var.domain
    TLS_email            = var.TLS_email
    TLS_name             = var.TLS_name == "" ? replace(var.domain, ".", "-") : var.TLS_name
    acme_server          = var.acme_server
    binder_version       = var.binder_version
    cert_manager_version = var.cert_manager_version
    helm_version         = var.helm_version
    mem_alloc_gb         = var.mem_alloc_gb
    cpu_alloc            = var.cpu_alloc
    docker_registry      = var.docker_registry
    reachable_networks   = var.reachable_networks
    values               = var.values
    wait_seconds         = var.wait_seconds
  })
  secrets = jsonencode({
    docker_id       = var.docker_id
    docker_password = var.docker_password
    hub_token       = var.hub_token
  })
  # A newer module brings what it changed to the machines.
  code = sha256(join("", [
    for file in concat(sort(fileset(path.module, "*.py")), sort(fileset(path.module, "remote/*.sh"))) :
    filesha256("${path.module}/${file}")
  ]))
}

# Takes the cluster off the machines. It stands apart because a resource whose creation failed is
# tainted, and Terraform runs no destroy provisioner of a tainted resource.
resource "terraform_data" "machines" {
  triggers_replace = [var.ip]
  input            = { cluster = local.cluster }

  provisioner "local-exec" {
    when        = destroy
    interpreter = ["python3", "-B", "${path.module}/cluster.py"]
    command     = "remove"
    environment = { HUB_CLUSTER = self.input.cluster }
  }
}

resource "terraform_data" "cluster" {
  triggers_replace = [terraform_data.machines.id, local.cluster, local.code]

  provisioner "local-exec" {
    interpreter = ["python3", "-B", "${path.module}/cluster.py"]
    command     = "install"
    environment = { HUB_CLUSTER = local.cluster }
  }
}

# A secret is in no attribute, so none is in the state: only a hash over all of them, which the
# hub's token makes too random to be guessed from.
resource "terraform_data" "hub" {
  triggers_replace = [
    terraform_data.cluster.id,
    local.settings,
    sha256(local.secrets),
  ]

  lifecycle {
    precondition {
      condition     = (var.docker_id == "") == nonsensitive(var.docker_password == "")
      error_message = "docker_id and docker_password belong together: give both, or neither for a registry without accounts."
    }

    precondition {
      condition     = var.docker_id != "" || !contains(["", "docker.io"], var.docker_registry)
      error_message = "docker.io needs docker_id and docker_password: images are pushed there in the name of an account."
    }
  }

  provisioner "local-exec" {
    interpreter = ["python3", "-B", "${path.module}/hub.py"]
    command     = "prepare"
    environment = { HUB_CLUSTER = local.cluster, HUB_SETTINGS = local.settings }
  }

  provisioner "local-exec" {
    interpreter = ["python3", "-B", "${path.module}/hub.py"]
    command     = "install"
    environment = {
      HUB_CLUSTER  = local.cluster
      HUB_SETTINGS = local.settings
      HUB_SECRETS  = local.secrets
    }
  }

  # On its own because Terraform shows nothing that a provisioner with secrets says while it runs.
  provisioner "local-exec" {
    interpreter = ["python3", "-B", "${path.module}/hub.py"]
    command     = "wait"
    environment = { HUB_CLUSTER = local.cluster, HUB_SETTINGS = local.settings }
  }
}
