terraform {
  required_version = ">= 1.6"
}

# Nothing has to be made: names under .localhost mean loopback by themselves (RFC 6761, 6.3).
resource "terraform_data" "record" {
  input = { domain = var.domain, public_ip = var.public_ip }
}
