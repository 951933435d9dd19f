output "domain" {
  description = "Name of the hub."
  value       = var.domain
  depends_on  = [terraform_data.record]
}

output "public_ip" {
  description = "Address that the name stands for."
  value       = var.public_ip
  depends_on  = [terraform_data.record]
}
