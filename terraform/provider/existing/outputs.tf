# The values are known before anything is checked; depends_on is what makes the next stage wait.

output "project_name" {
  description = "Name of the instance."
  value       = var.project_name
  depends_on  = [terraform_data.machines]
}

output "public_ip" {
  description = "Address of the master."
  value       = var.master
  depends_on  = [terraform_data.machines]
}

output "admin_user" {
  description = "Account with sudo on every machine."
  value       = var.admin_user
  depends_on  = [terraform_data.machines]
}

output "ssh_port" {
  description = "TCP port of SSH on every machine."
  value       = var.ssh_port
  depends_on  = [terraform_data.machines]
}

output "nodes" {
  description = "The worker machines: their names in Kubernetes, and their addresses as the master reaches them."
  value = [
    for number, address in var.nodes : { name = "${var.project_name}-node${number + 1}", ip = address }
  ]
  depends_on = [terraform_data.machines]
}

output "docker_registry" {
  description = "Registry of the images that BinderHub builds."
  value       = var.docker_registry == "" ? "docker.io" : var.docker_registry
}

output "docker_id" {
  description = "Account at the registry; empty where it needs none."
  value       = var.docker_id
}

output "docker_password" {
  description = "Password or token of that account."
  value       = var.docker_password
  sensitive   = true

  precondition {
    condition     = (var.docker_id == "") == (var.docker_password == "")
    error_message = "docker_id and docker_password belong together: give both, or neither for a registry without an account."
  }
}
