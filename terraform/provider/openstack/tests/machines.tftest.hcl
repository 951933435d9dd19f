# What is planned: names, what is open, and what is in the user data.

mock_provider "openstack" {
  mock_data "openstack_images_image_ids_v2" {
    defaults = { ids = ["0d4b3a0e-1f2c-4c57-9a51-8c0f6f0b1c2d"] }
  }
  mock_data "openstack_identity_auth_scope_v3" {
    defaults = { project_name = "def-someone" }
  }
  mock_resource "openstack_networking_port_v2" {
    defaults = { all_fixed_ips = ["fd00::5", "10.77.0.5"] }
  }
  mock_resource "openstack_networking_floatingip_v2" {
    defaults = { address = "203.0.113.40" }
  }
}

variables {
  project_name         = "demo"
  nb_nodes             = 2
  instance_volume_size = 100
  ssh_authorized_keys  = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDN6yE0n4y0m7rVb2xO6nq1o0m7a3q0S8q9yTt5gk3Xk operator\n"]
  os_flavor_master     = "c4-30gb-83"
  os_flavor_node       = "c16-60gb-392"
  image_name           = "Ubuntu-24.04-Noble-x64-2025-01"
  ssh_cidrs            = ["203.0.113.7/24", "203.0.113.9/24"]
  web_cidrs            = ["0.0.0.0/0", "::/0"]
  host_keys_from       = "first-use"
  docker_registry      = ""
  docker_id            = "someone"
  docker_password      = "CANARY-docker-password"
}

run "contract" {
  assert {
    condition     = output.public_ip == "203.0.113.40" && output.admin_user == "ubuntu" && output.project_name == "demo"
    error_message = "the address, account or name is another"
  }
  assert {
    condition     = output.nodes == [{ name = "demo-node1", ip = "10.77.0.5" }, { name = "demo-node2", ip = "10.77.0.5" }]
    error_message = "nodes are not the two workers with their IPv4 addresses"
  }
  assert {
    condition     = output.docker_registry == "docker.io" && output.docker_id == "someone" && issensitive(output.docker_password)
    error_message = "an empty registry must be docker.io, and the password sensitive"
  }
  assert {
    condition = alltrue([for name in concat(
      values(openstack_compute_instance_v2.machine)[*].name,
      values(openstack_blockstorage_volume_v3.machine)[*].name,
      values(openstack_networking_port_v2.machine)[*].name,
      openstack_networking_network_v2.own[*].name,
      openstack_networking_subnet_v2.own[*].name,
      openstack_networking_router_v2.own[*].name,
      [
        openstack_networking_secgroup_v2.cluster.name,
        openstack_networking_secgroup_v2.master.name,
        openstack_compute_keypair_v2.admin.name,
      ],
    ) : startswith(name, "demo-")])
    error_message = "a name does not begin with the instance's"
  }
}

run "ssh_is_open_to_the_given_ranges_alone" {
  assert {
    condition     = keys(openstack_networking_secgroup_rule_v2.ssh) == ["203.0.113.0/24"]
    error_message = "two spellings of one range must be one rule"
  }
  assert {
    condition = alltrue([
      for rule in concat(values(openstack_networking_secgroup_rule_v2.web), values(openstack_networking_secgroup_rule_v2.ssh)) :
      rule.security_group_id == openstack_networking_secgroup_v2.master.id
    ])
    error_message = "only the master may be reached from outside"
  }
  assert {
    condition     = { for key, rule in openstack_networking_secgroup_rule_v2.web : key => rule.ethertype } == { "80 0.0.0.0/0" = "IPv4", "443 0.0.0.0/0" = "IPv4", "80 ::/0" = "IPv6", "443 ::/0" = "IPv6" }
    error_message = "80 and 443 must be open to web_cidrs"
  }
}

run "user_data_holds_public_keys_alone" {
  assert {
    condition = yamldecode(openstack_compute_instance_v2.machine["master"].user_data) == {
      hostname            = "demo-master"
      user                = "ubuntu"
      ssh_authorized_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDN6yE0n4y0m7rVb2xO6nq1o0m7a3q0S8q9yTt5gk3Xk operator"]
      ssh_pwauth          = false
      disable_root        = true
      ssh                 = { emit_keys_to_console = true }
    }
    error_message = "the master's user data is another"
  }
}

run "an_alliance_cloud_s_own_network" {
  command = plan
  variables { is_computecanada = true }

  assert {
    condition     = data.openstack_networking_network_v2.existing[0].name == "def-someone-network"
    error_message = "the network is not called after OpenStack's project"
  }
  assert {
    condition     = length(openstack_networking_network_v2.own) + length(openstack_networking_subnet_v2.own) + length(openstack_networking_router_v2.own) == 0
    error_message = "a network is made where none can be"
  }
}

run "an_alliance_cloud_s_named_network" {
  command = plan
  variables {
    is_computecanada   = true
    cc_private_network = "rrg-other-network"
  }

  assert {
    condition     = data.openstack_networking_network_v2.existing[0].name == "rrg-other-network"
    error_message = "the named network is not the one that is joined"
  }
}
