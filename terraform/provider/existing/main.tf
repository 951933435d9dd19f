terraform {
  required_version = ">= 1.6"
}

locals {
  machines = jsonencode({
    project_name  = var.project_name
    master        = var.master
    nodes         = var.nodes
    admin_user    = var.admin_user
    ssh_port      = var.ssh_port
    host_keys     = var.host_keys
    keys          = [for key in var.ssh_authorized_keys : trimspace(key)]
    min_memory_gb = var.min_memory_gb
    min_disk_gb   = var.min_disk_gb
  })
}

# Takes away the keys that were let in. It stands apart from the check because a resource whose
# creation failed is tainted, and Terraform runs no destroy provisioner of a tainted resource.
resource "terraform_data" "keys" {
  input = local.machines

  provisioner "local-exec" {
    when        = destroy
    interpreter = ["python3", "-B", "${path.module}/machines.py"]
    command     = "forget"
    environment = { MACHINES = self.input }
  }
}

# Checks every machine, then lets the keys in.
resource "terraform_data" "machines" {
  triggers_replace = [terraform_data.keys.id, local.machines]

  provisioner "local-exec" {
    interpreter = ["python3", "-B", "${path.module}/machines.py"]
    command     = "check"
    environment = { MACHINES = local.machines }
  }
}
