output "domain" {
  description = "Name of the hub."
  value       = var.domain
  depends_on  = [cloudflare_record.hub]
}

output "public_ip" {
  description = "Address that the name points to, behind the proxy if there is one."
  value       = var.public_ip
  depends_on  = [cloudflare_record.hub]
}

output "proxied" {
  description = "Whether Cloudflare's addresses stand in DNS in place of public_ip."
  value       = var.proxied
}
