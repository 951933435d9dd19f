terraform {
  required_version = ">= 1.6"

  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "~> 4.40"
    }
  }
}

locals {
  zone  = var.zone != "" ? var.zone : join(".", slice(split(".", var.domain), 1, length(split(".", var.domain))))
  owner = var.project_name != "" ? var.project_name : var.domain
}

data "cloudflare_zone" "named" {
  count = var.zone_id == "" ? 1 : 0
  name  = local.zone

  lifecycle {
    precondition {
      condition     = var.domain == local.zone || endswith(var.domain, ".${local.zone}")
      error_message = "domain ${var.domain} is not in the zone ${local.zone}."
    }
  }
}

# The same record is an error if it is there already: it may be somebody's.
resource "cloudflare_record" "hub" {
  zone_id = var.zone_id != "" ? var.zone_id : data.cloudflare_zone.named[0].id
  name    = var.domain
  type    = strcontains(var.public_ip, ":") ? "AAAA" : "A"
  content = var.public_ip
  proxied = var.proxied
  ttl     = var.proxied ? 1 : var.ttl # Cloudflare's own while it is proxied
  comment = substr("barehub:${local.owner}", 0, 100)

  lifecycle {
    precondition {
      condition     = var.zone_id == "" || var.zone == ""
      error_message = "zone and zone_id exclude each other: give one of them."
    }
  }
}
