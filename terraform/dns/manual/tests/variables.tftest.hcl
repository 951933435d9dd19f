# One run for each validation. Nothing is applied: tests/integration/test_dns_manual.py does that.

variables {
  domain    = "demo.example.org"
  public_ip = "203.0.113.40"
}

run "all_is_right" {
  command = plan
  assert {
    condition     = terraform_data.record.input == { domain = "demo.example.org", public_ip = "203.0.113.40" }
    error_message = "what the farewell needs is not kept"
  }
}

run "resolver_of_ipv6_with_a_port" {
  command = plan
  variables { resolver = "[2001:db8::53]:5353" }
}

run "resolver_with_a_port" {
  command = plan
  variables { resolver = "192.0.2.53:5353" }
}

run "resolver_of_ipv6" {
  command = plan
  variables { resolver = "2001:db8::53" }
}

run "domain_ends_with_a_dot" {
  command = plan
  variables { domain = "demo.example.org." }
  expect_failures = [var.domain]
}

run "public_ip_is_a_name" {
  command = plan
  variables { public_ip = "machine.example.org" }
  expect_failures = [var.public_ip]
}

run "wait_seconds_has_no_bound" {
  command = plan
  variables { wait_seconds = 86401 }
  expect_failures = [var.wait_seconds]
}

run "resolver_is_a_name" {
  command = plan
  variables { resolver = "dns.example.org" }
  expect_failures = [var.resolver]
}
