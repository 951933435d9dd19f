# One run for each validation and precondition.

mock_provider "cloudflare" {
  mock_data "cloudflare_zone" {
    defaults = { id = "023e105f4ecef8ad9ca31a8372d0c353" }
  }
}

variables {
  domain    = "demo.example.org"
  public_ip = "203.0.113.40"
}

run "all_is_right" {
  command = plan
}

run "domain_has_a_capital" {
  command = plan
  variables { domain = "Demo.example.org" }
  expect_failures = [var.domain]
}

run "public_ip_is_a_name" {
  command = plan
  variables { public_ip = "machine.example.org" }
  expect_failures = [var.public_ip]
}

run "project_name_is_no_dns_label" {
  command = plan
  variables { project_name = "Demo_1" }
  expect_failures = [var.project_name]
}

run "zone_is_a_label" {
  command = plan
  variables { zone = "example" }
  expect_failures = [var.zone]
}

run "zone_is_another_s" {
  command = plan
  variables { zone = "ample.org" }
  expect_failures = [data.cloudflare_zone.named]
}

run "zone_id_is_a_name" {
  command = plan
  variables { zone_id = "example.org" }
  expect_failures = [var.zone_id]
}

run "zone_and_zone_id" {
  command = plan
  variables {
    zone    = "example.org"
    zone_id = "023e105f4ecef8ad9ca31a8372d0c353"
  }
  expect_failures = [cloudflare_record.hub]
}

run "ttl_is_below_cloudflare_s_least" {
  command = plan
  variables { ttl = 59 }
  expect_failures = [var.ttl]
}
