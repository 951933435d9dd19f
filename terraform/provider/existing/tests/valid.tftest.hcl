# What the module takes, and what it refuses. Nothing is applied: no machine is asked.

variables {
  project_name = "demo"
  master       = "198.51.100.7"
  nodes        = ["10.0.0.11", "10.0.0.12"]
  admin_user   = "ubuntu"
}

run "accepts_the_arguments_of_a_recipe" {
  command = plan

  variables {
    ssh_authorized_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA ops@example.org\n"]
    host_keys           = ["198.51.100.7 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"]
    docker_id           = "robot"
    docker_password     = "secret"
  }

  assert {
    condition     = output.nodes == [{ name = "demo-node1", ip = "10.0.0.11" }, { name = "demo-node2", ip = "10.0.0.12" }]
    error_message = "nodes are not named as the contract says"
  }

  assert {
    condition     = output.public_ip == "198.51.100.7" && output.docker_registry == "docker.io"
    error_message = "the outputs are not those of the contract"
  }
}

run "refuses_an_account_without_a_password" {
  command = plan
  variables { docker_id = "robot" }
  expect_failures = [output.docker_password]
}

run "refuses_where_project_name_is_upper_case" {
  command = plan
  variables { project_name = "Demo" }
  expect_failures = [var.project_name]
}

run "refuses_where_master_is_a_name" {
  command = plan
  variables { master = "hub.example.org" }
  expect_failures = [var.master]
}

run "refuses_where_a_node_is_a_name" {
  command = plan
  variables { nodes = ["node1"] }
  expect_failures = [var.nodes]
}

run "refuses_where_a_node_stands_there_twice" {
  command = plan
  variables { nodes = ["10.0.0.11", "10.0.0.11"] }
  expect_failures = [var.nodes]
}

run "refuses_where_admin_user_is_an_option" {
  command = plan
  variables { admin_user = "-oProxyCommand=x" }
  expect_failures = [var.admin_user]
}

run "refuses_where_ssh_port_is_no_port" {
  command = plan
  variables { ssh_port = 0 }
  expect_failures = [var.ssh_port]
}

run "refuses_where_a_key_is_a_private_one" {
  command = plan
  variables { ssh_authorized_keys = ["-----BEGIN OPENSSH PRIVATE KEY-----"] }
  expect_failures = [var.ssh_authorized_keys]
}

run "refuses_where_a_key_has_two_lines" {
  command = plan
  variables { ssh_authorized_keys = ["ssh-ed25519 AAAA a\nssh-ed25519 AAAA b"] }
  expect_failures = [var.ssh_authorized_keys]
}

run "refuses_where_a_host_key_has_a_pattern" {
  command = plan
  variables { host_keys = ["* ssh-ed25519 AAAA"] }
  expect_failures = [var.host_keys]
}

run "refuses_where_min_memory_gb_is_negative" {
  command = plan
  variables { min_memory_gb = -1 }
  expect_failures = [var.min_memory_gb]
}

run "refuses_where_min_disk_gb_is_negative" {
  command = plan
  variables { min_disk_gb = -1 }
  expect_failures = [var.min_disk_gb]
}
