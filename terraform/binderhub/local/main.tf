terraform {
  required_version = ">= 1.6"
}

locals {
  hub = ["python3", "-B", "${path.module}/hub.py"]
}

# Stops the hub and removes its files. It stands apart from the hub because a resource whose
# creation failed is tainted, and Terraform runs no destroy provisioner of a tainted resource.
resource "terraform_data" "process" {
  input = { domain = var.domain, ip = var.ip, port = var.port }

  provisioner "local-exec" {
    when        = destroy
    interpreter = ["python3", "-B", "${path.module}/hub.py"]
    command     = "remove"
  }
}

resource "terraform_data" "install" {
  triggers_replace = [terraform_data.process.id, var.binder_version]

  provisioner "local-exec" {
    interpreter = ["python3", "-B", "${path.module}/install.py"]
    command     = "run"
    environment = { HUB_BINDER_VERSION = var.binder_version }
  }
}

# A secret is in no attribute, so none is in the state: only a hash over all of them, which a
# private key makes too random to be guessed from.
resource "terraform_data" "hub" {
  triggers_replace = [
    terraform_data.install.id,
    var.domain,
    var.port,
    sha256(jsonencode([
      var.hub_token, var.cookie_secret, var.tls_certificate, var.tls_key, var.ca_certificate,
    ])),
  ]

  provisioner "local-exec" {
    interpreter = local.hub
    command     = "start"
    environment = {
      HUB_PORT            = var.port
      HUB_WAIT_SECONDS    = var.wait_seconds
      HUB_CA_CERTIFICATE  = var.ca_certificate
      HUB_TOKEN           = var.hub_token
      HUB_COOKIE_SECRET   = var.cookie_secret
      HUB_TLS_CERTIFICATE = var.tls_certificate
      HUB_TLS_KEY         = var.tls_key
    }
  }

  # On its own because Terraform shows nothing that a provisioner with secrets says while it runs.
  provisioner "local-exec" {
    interpreter = local.hub
    command     = "wait"
    environment = {
      HUB_PORT         = var.port
      HUB_DOMAIN       = var.domain
      HUB_WAIT_SECONDS = var.wait_seconds
    }
  }
}
