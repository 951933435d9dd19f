# The values are known before anything is made; depends_on is what makes the hub wait for it.

output "project_name" {
  description = "Name of the instance."
  value       = var.project_name
  depends_on  = [terraform_data.port]
}

output "public_ip" {
  description = "Address that the hub listens on: this machine's loopback."
  value       = "127.0.0.1"
  depends_on  = [terraform_data.port]
}

output "port" {
  description = "TCP port that the hub listens on."
  value       = var.port
  depends_on  = [terraform_data.port]
}

output "admin_user" {
  description = "Account on the machine; the local hub runs as whoever runs Terraform, so it is only a name."
  value       = "local"
  depends_on  = [terraform_data.port]
}

output "nodes" {
  description = "Worker machines: a local hub has none."
  value       = []
}

output "docker_registry" {
  description = "Registry of built images: none, a local hub only pretends to build."
  value       = ""
}

output "docker_id" {
  description = "Account at the registry: none."
  value       = ""
}

output "docker_password" {
  description = "Password of that account: none."
  value       = ""
  sensitive   = true
}
