# What the module takes, and what it refuses. Nothing is applied: no machine is asked.

variables {
  ip             = "198.51.100.7"
  project_name   = "demo"
  nodes          = [{ name = "demo-node1", ip = "10.0.0.11" }, { name = "demo-node2", ip = "10.0.0.12" }]
  admin_user     = "ubuntu"
  domain         = "hub.example.org"
  binder_version = "1.0.0-0.dev.git.3983.h383374de"
  TLS_email      = "ops@conp.ca"
  hub_token      = "0123456789abcdef0123456789abcdef"

  docker_id       = "robot"
  docker_password = "secret"
}

run "accepts_the_arguments_of_a_recipe" {
  command = plan

  variables {
    docker_registry    = "registry.example.org:5000"
    mem_alloc_gb       = 4
    cpu_alloc          = 0.5
    reachable_networks = ["10.1.2.0/24"]
    values             = { config = { BinderHub = { about_message = "hello" } } }
    host_keys          = ["[10.0.0.11]:22 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"]
  }

  assert {
    condition     = output.hub == "/jupyter/" && output.builds == "real" && output.service == "terraform_data.hub"
    error_message = "the outputs are not what barehub asks for"
  }
}

run "accepts_one_machine" {
  command = plan
  variables { nodes = [] }
}

run "refuses_where_ip_is_a_name" {
  command = plan
  variables { ip = "hub.example.org" }
  expect_failures = [var.ip]
}

run "refuses_where_ip_is_no_address" {
  command = plan
  variables { ip = "300.1.1.1" }
  expect_failures = [var.ip]
}

run "refuses_where_project_name_is_upper_case" {
  command = plan
  variables { project_name = "Demo" }
  expect_failures = [var.project_name]
}

run "refuses_where_project_name_is_too_long" {
  command = plan
  variables { project_name = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcd" }
  expect_failures = [var.project_name]
}

run "refuses_where_a_node_has_no_label_for_a_name" {
  command = plan
  variables { nodes = [{ name = "demo_node", ip = "10.0.0.11" }] }
  expect_failures = [var.nodes]
}

run "refuses_where_a_node_has_no_address" {
  command = plan
  variables { nodes = [{ name = "demo-node1", ip = "node1" }] }
  expect_failures = [var.nodes]
}

run "refuses_where_a_node_stands_there_twice" {
  command = plan
  variables { nodes = [{ name = "a", ip = "10.0.0.11" }, { name = "b", ip = "10.0.0.11" }] }
  expect_failures = [var.nodes]
}

run "refuses_where_admin_user_is_an_option" {
  command = plan
  variables { admin_user = "-oProxyCommand=x" }
  expect_failures = [var.admin_user]
}

run "refuses_where_ssh_port_is_no_port" {
  command = plan
  variables { ssh_port = 70000 }
  expect_failures = [var.ssh_port]
}

run "refuses_where_a_host_key_has_a_pattern" {
  command = plan
  variables { host_keys = ["* ssh-ed25519 AAAA"] }
  expect_failures = [var.host_keys]
}

run "refuses_where_domain_is_an_address" {
  command = plan
  variables { domain = "198.51.100.7" }
  expect_failures = [var.domain]
}

run "refuses_where_binder_version_is_of_2020" {
  command = plan
  variables { binder_version = "v0.2.0-n121.h6d936d7" }
  expect_failures = [var.binder_version]
}

run "refuses_where_TLS_email_is_a_name" {
  command = plan
  variables { TLS_email = "ops" }
  expect_failures = [var.TLS_email]
}

run "refuses_where_TLS_email_is_one_that_is_refused" {
  command = plan
  variables { TLS_email = "ops@example.org" }
  expect_failures = [var.TLS_email]
}

run "refuses_where_acme_server_is_not_secure" {
  command = plan
  variables { acme_server = "http://acme.example.org/directory" }
  expect_failures = [var.acme_server]
}

run "refuses_where_mem_alloc_gb_is_nothing" {
  command = plan
  variables { mem_alloc_gb = 0 }
  expect_failures = [var.mem_alloc_gb]
}

run "refuses_where_cpu_alloc_is_nothing" {
  command = plan
  variables { cpu_alloc = 0 }
  expect_failures = [var.cpu_alloc]
}

run "refuses_where_docker_registry_is_a_URL" {
  command = plan
  variables { docker_registry = "https://registry.example.org/" }
  expect_failures = [var.docker_registry]
}

run "refuses_where_hub_token_is_short" {
  command = plan
  variables { hub_token = "short" }
  expect_failures = [var.hub_token]
}

run "refuses_where_a_network_is_no_network" {
  command = plan
  variables { reachable_networks = ["10.1.2.3"] }
  expect_failures = [var.reachable_networks]
}

run "refuses_where_a_network_holds_the_metadata_address" {
  command = plan
  variables { reachable_networks = ["169.254.169.254/32"] }
  expect_failures = [var.reachable_networks]
}

run "refuses_where_values_are_a_text" {
  command = plan
  variables { values = "config: {}" }
  expect_failures = [var.values]
}

run "refuses_where_k3s_version_is_a_channel" {
  command = plan
  variables { k3s_version = "stable" }
  expect_failures = [var.k3s_version]
}

run "refuses_where_helm_version_is_a_channel" {
  command = plan
  variables { helm_version = "latest" }
  expect_failures = [var.helm_version]
}

run "refuses_where_cert_manager_version_is_a_channel" {
  command = plan
  variables { cert_manager_version = "latest" }
  expect_failures = [var.cert_manager_version]
}

run "refuses_where_mirror_is_a_folder" {
  command = plan
  variables { mirror = "/srv/mirror" }
  expect_failures = [var.mirror]
}

run "refuses_where_wait_seconds_is_for_ever" {
  command = plan
  variables { wait_seconds = 0 }
  expect_failures = [var.wait_seconds]
}

run "refuses_where_TLS_name_is_a_domain" {
  command = plan
  variables { TLS_name = "hub.example.org" }
  expect_failures = [var.TLS_name]
}

run "refuses_an_account_without_a_password" {
  command = plan
  variables { docker_password = "" }
  expect_failures = [terraform_data.hub]
}

run "refuses_docker_io_without_an_account" {
  command = plan
  variables {
    docker_id       = ""
    docker_password = ""
  }
  expect_failures = [terraform_data.hub]
}

run "accepts_a_registry_without_accounts" {
  command = plan
  variables {
    docker_registry = "registry.example.org:5000"
    docker_id       = ""
    docker_password = ""
  }
}
