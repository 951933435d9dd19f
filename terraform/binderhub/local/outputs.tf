output "endpoint" {
  description = "Address of the hub."
  value       = "https://${var.domain}:${var.port}"
  depends_on  = [terraform_data.hub]
}

output "connect_to" {
  description = "HOST:PORT to connect to where the name of the endpoint does not resolve."
  value       = "${var.ip}:${var.port}"
  depends_on  = [terraform_data.hub]
}

output "ca_file" {
  description = "Certificate of the CA to trust, relative to the folder of the recipe."
  value       = "hub/ca.pem"
  depends_on  = [terraform_data.hub]
}

output "builds" {
  description = "How the hub builds images: it only pretends to."
  value       = "fake"
}

output "service" {
  description = "Resource of this module whose replacement starts the hub again."
  value       = "terraform_data.hub"
}

output "binder_version" {
  description = "BinderHub that was asked for."
  value       = var.binder_version
  depends_on  = [terraform_data.hub]
}
