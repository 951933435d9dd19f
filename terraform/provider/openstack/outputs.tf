# Most values are known before anything is made; depends_on is what makes the next stage wait.

output "project_name" {
  description = "Name of the instance."
  value       = var.project_name
  depends_on  = [openstack_compute_instance_v2.machine]
}

output "public_ip" {
  description = "Floating IP of the master."
  value       = openstack_networking_floatingip_v2.hub.address
  depends_on = [
    openstack_compute_instance_v2.machine,
    openstack_networking_floatingip_associate_v2.hub,
    openstack_networking_secgroup_rule_v2.cluster,
    openstack_networking_secgroup_rule_v2.ssh,
    openstack_networking_secgroup_rule_v2.web,
    terraform_data.host_keys,
  ]
}

output "admin_user" {
  description = "Account with sudo on every machine."
  value       = var.admin_user
  depends_on  = [openstack_compute_instance_v2.machine]
}

output "nodes" {
  description = "The worker machines: their host names, and their addresses as the master reaches them."
  value = [
    for node in local.nodes : { name = "${var.project_name}-${node}", ip = local.addresses[node] }
  ]
  depends_on = [openstack_compute_instance_v2.machine, terraform_data.host_keys]
}

output "docker_registry" {
  description = "Registry of the images that BinderHub builds."
  value       = var.docker_registry == "" ? "docker.io" : var.docker_registry
}

output "docker_id" {
  description = "Account at the registry; empty where it needs none."
  value       = var.docker_id
}

output "docker_password" {
  description = "Password or token of that account."
  value       = var.docker_password
  sensitive   = true

  precondition {
    condition     = (var.docker_id == "") == (var.docker_password == "")
    error_message = "docker_id and docker_password belong together: give both, or neither for a registry without an account."
  }
}
