# A record of a hub behind Cloudflare's proxy; the token from CLOUDFLARE_API_TOKEN.

module "dns" {
  source = "../../"

  domain       = "demo.example.org"
  public_ip    = "203.0.113.40"
  project_name = "demo"
  proxied      = true
}

output "domain" {
  value = module.dns.domain
}
