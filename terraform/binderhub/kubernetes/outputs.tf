output "endpoint" {
  description = "Address of the hub."
  value       = "https://${var.domain}"
  depends_on  = [terraform_data.hub]
}

output "connect_to" {
  description = "HOST:PORT of the machine that answers for it."
  value       = "${var.ip}:443"
  depends_on  = [terraform_data.hub]
}

output "builds" {
  description = "How the hub builds images: really."
  value       = "real"
}

output "hub" {
  description = "Path of its JupyterHub."
  value       = "/jupyter/"
}

output "version" {
  description = "Version of the chart binderhub that was asked for."
  value       = var.binder_version
  depends_on  = [terraform_data.hub]
}

output "service" {
  description = "Resource of this module whose replacement starts the hub again."
  value       = "terraform_data.hub"
}
