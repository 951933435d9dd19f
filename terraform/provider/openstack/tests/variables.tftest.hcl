# One run for each validation and precondition: a value just beyond what is right.

mock_provider "openstack" {
  mock_data "openstack_images_image_ids_v2" {
    defaults = { ids = ["0d4b3a0e-1f2c-4c57-9a51-8c0f6f0b1c2d"] }
  }
  mock_data "openstack_identity_auth_scope_v3" {
    defaults = { project_name = "def-someone" }
  }
  mock_resource "openstack_networking_port_v2" {
    defaults = { all_fixed_ips = ["10.77.0.5"] }
  }
}

variables {
  project_name         = "demo"
  nb_nodes             = 1
  instance_volume_size = 100
  ssh_authorized_keys  = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDN6yE0n4y0m7rVb2xO6nq1o0m7a3q0S8q9yTt5gk3Xk operator"]
  os_flavor_master     = "c4-30gb-83"
  os_flavor_node       = "c16-60gb-392"
  image_name           = "Ubuntu-24.04-Noble-x64-2025-01"
  ssh_cidrs            = ["203.0.113.7/32"]
}

run "all_is_right" {
  command = plan
}

run "project_name_is_no_dns_label" {
  command = plan
  variables { project_name = "Demo_1" }
  expect_failures = [var.project_name]
}

run "project_name_is_too_long_for_a_host_name" {
  command = plan
  variables { project_name = "a23456789-123456789-123456789-123456789-123456789-1" }
  expect_failures = [var.project_name]
}

run "nb_nodes_is_negative" {
  command = plan
  variables { nb_nodes = -1 }
  expect_failures = [var.nb_nodes]
}

run "nb_nodes_is_no_whole_number" {
  command = plan
  variables { nb_nodes = 1.5 }
  expect_failures = [var.nb_nodes]
}

run "instance_volume_size_is_too_small" {
  command = plan
  variables { instance_volume_size = 9 }
  expect_failures = [var.instance_volume_size]
}

run "ssh_authorized_keys_is_empty" {
  command = plan
  variables { ssh_authorized_keys = [] }
  expect_failures = [var.ssh_authorized_keys]
}

run "ssh_authorized_keys_holds_a_private_key" {
  command = plan
  variables {
    ssh_authorized_keys = ["-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"]
  }
  expect_failures = [var.ssh_authorized_keys]
}

run "ssh_authorized_keys_holds_no_key" {
  command = plan
  variables { ssh_authorized_keys = ["<redacted>"] }
  expect_failures = [var.ssh_authorized_keys]
}

run "ssh_authorized_keys_holds_two_lines" {
  command = plan
  variables {
    ssh_authorized_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDN6yE0n4y0m7rVb2xO6nq1o0m7a3q0S8q9yTt5gk3Xk a\nssh-ed25519 AAAA b"]
  }
  expect_failures = [var.ssh_authorized_keys]
}

run "os_flavor_master_is_a_placeholder" {
  command = plan
  variables { os_flavor_master = "<flavor>" }
  expect_failures = [var.os_flavor_master]
}

run "os_flavor_node_is_empty" {
  command = plan
  variables { os_flavor_node = "" }
  expect_failures = [var.os_flavor_node]
}

run "image_name_is_a_placeholder" {
  command = plan
  variables { image_name = "<image>" }
  expect_failures = [var.image_name]
}

run "the_cloud_has_no_such_image" {
  command = plan
  override_data {
    target = data.openstack_images_image_ids_v2.named
    values = { ids = [] }
  }
  expect_failures = [terraform_data.image]
}

run "admin_user_is_root" {
  command = plan
  variables { admin_user = "root" }
  expect_failures = [var.admin_user]
}

run "public_network_is_empty" {
  command = plan
  variables { public_network = "" }
  expect_failures = [var.public_network]
}

run "cc_private_network_is_a_placeholder" {
  command = plan
  variables {
    is_computecanada   = true
    cc_private_network = "<network>"
  }
  expect_failures = [var.cc_private_network]
}

run "cc_private_network_without_is_computecanada" {
  command = plan
  variables { cc_private_network = "def-someone-network" }
  expect_failures = [openstack_networking_network_v2.own]
}

run "subnet_cidr_is_public" {
  command = plan
  variables { subnet_cidr = "203.0.113.0/24" }
  expect_failures = [var.subnet_cidr]
}

run "subnet_cidr_is_k3s_s_own" {
  command = plan
  variables { subnet_cidr = "10.42.7.0/24" }
  expect_failures = [var.subnet_cidr]
}

run "dns_nameservers_holds_a_name" {
  command = plan
  variables { dns_nameservers = ["dns.example.org"] }
  expect_failures = [var.dns_nameservers]
}

run "ssh_cidrs_is_empty" {
  command = plan
  variables { ssh_cidrs = [] }
  expect_failures = [var.ssh_cidrs]
}

run "ssh_cidrs_holds_a_bare_address" {
  command = plan
  variables { ssh_cidrs = ["203.0.113.7"] }
  expect_failures = [var.ssh_cidrs]
}

run "ssh_cidrs_holds_the_world" {
  command = plan
  variables { ssh_cidrs = ["0.0.0.0/0"] }
  expect_failures = [var.ssh_cidrs]
}

run "ssh_cidrs_holds_the_world_spelt_otherwise" {
  command = plan
  variables { ssh_cidrs = ["203.0.113.7/0"] }
  expect_failures = [var.ssh_cidrs]
}

run "ssh_cidrs_holds_the_world_in_two_parts" {
  command = plan
  variables { ssh_cidrs = ["0.0.0.0/1", "128.0.0.0/1"] }
  expect_failures = [var.ssh_cidrs]
}

run "ssh_cidrs_holds_the_world_of_ipv6" {
  command = plan
  variables { ssh_cidrs = ["203.0.113.7/32", "::/0"] }
  expect_failures = [var.ssh_cidrs]
}

run "web_cidrs_is_empty" {
  command = plan
  variables { web_cidrs = [] }
  expect_failures = [var.web_cidrs]
}

run "web_cidrs_holds_no_range" {
  command = plan
  variables { web_cidrs = ["cloudflare"] }
  expect_failures = [var.web_cidrs]
}

run "host_keys_from_is_neither" {
  command = plan
  variables { host_keys_from = "none" }
  expect_failures = [var.host_keys_from]
}

run "wait_seconds_has_no_bound" {
  command = plan
  variables { wait_seconds = 3601 }
  expect_failures = [var.wait_seconds]
}

run "docker_registry_is_an_address" {
  command = plan
  variables { docker_registry = "https://registry.example.org/v2" }
  expect_failures = [var.docker_registry]
}

run "docker_id_without_docker_password" {
  command = plan
  variables { docker_id = "someone" }
  expect_failures = [output.docker_password]
}
