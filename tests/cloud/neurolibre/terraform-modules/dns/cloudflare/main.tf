resource "cloudflare_record" "machine" {
  zone_id = var.zone_id
  type    = "A"
  name    = var.domain
  content = var.public_ip
}
