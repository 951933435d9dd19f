# Known before the record is there; depends_on is what makes the hub wait for it.

output "domain" {
  description = "Name of the hub."
  value       = var.domain
  depends_on  = [terraform_data.record]
}

output "public_ip" {
  description = "Address that the name points to."
  value       = var.public_ip
  depends_on  = [terraform_data.record]
}
