# What record is planned.

mock_provider "cloudflare" {
  mock_data "cloudflare_zone" {
    defaults = { id = "023e105f4ecef8ad9ca31a8372d0c353" }
  }
}

variables {
  domain       = "demo.hubs.example.org"
  public_ip    = "203.0.113.40"
  project_name = "demo"
}

run "contract" {
  assert {
    condition     = output.domain == "demo.hubs.example.org" && output.public_ip == "203.0.113.40" && output.proxied == false
    error_message = "the outputs are not what was given"
  }
  assert {
    condition     = data.cloudflare_zone.named[0].name == "hubs.example.org"
    error_message = "the zone must be the domain without its first label"
  }
  assert {
    condition     = cloudflare_record.hub.type == "A" && cloudflare_record.hub.content == "203.0.113.40" && cloudflare_record.hub.ttl == 300 && !cloudflare_record.hub.proxied
    error_message = "the record is another"
  }
  assert {
    condition     = cloudflare_record.hub.comment == "barehub:demo"
    error_message = "the comment does not name the instance"
  }
}

run "proxied_by_zone_id" {
  command = plan
  variables {
    zone_id = "11111111111111111111111111111111"
    proxied = true
  }
  assert {
    condition     = cloudflare_record.hub.proxied && cloudflare_record.hub.ttl == 1 && cloudflare_record.hub.zone_id == "11111111111111111111111111111111"
    error_message = "a proxied record has the TTL 1, in the given zone"
  }
  assert {
    condition     = length(data.cloudflare_zone.named) == 0
    error_message = "with zone_id no zone is looked up"
  }
}

run "ipv6" {
  command = plan
  variables { public_ip = "2001:db8::40" }
  assert {
    condition     = cloudflare_record.hub.type == "AAAA"
    error_message = "an IPv6 address belongs into an AAAA record"
  }
}

run "comment_fits_into_cloudflare_s_100_characters" {
  command = plan
  variables {
    project_name = ""
    domain       = "a23456789-123456789-123456789-123456789-123456789-123456789.a23456789-123456789-123456789-123456789-1.example.org"
  }
  assert {
    condition     = length(cloudflare_record.hub.comment) == 100
    error_message = "the comment is longer"
  }
}
