locals {
  addresses = {
    for role in keys(local.machines) : role => (
      role == "master"
      ? openstack_networking_floatingip_v2.hub.address
      : [for ip in openstack_networking_port_v2.machine[role].all_fixed_ips : ip if !strcontains(ip, ":")][0]
    )
  }
}

# The console comes through OpenStack's API, over TLS and with the project's credentials: nobody on
# the way to the machine can have put another key there.
resource "terraform_data" "host_keys" {
  for_each         = var.host_keys_from == "console" ? local.machines : {}
  triggers_replace = [openstack_compute_instance_v2.machine[each.key].id, local.addresses[each.key]]
  input            = { address = local.addresses[each.key] }

  provisioner "local-exec" {
    interpreter = ["python3", "-B", "${path.module}/host_keys.py"]
    command     = "pin"
    environment = {
      HOST_KEYS_ADDRESS      = local.addresses[each.key]
      HOST_KEYS_SERVER       = openstack_compute_instance_v2.machine[each.key].id
      HOST_KEYS_WAIT_SECONDS = var.wait_seconds
    }
  }

  provisioner "local-exec" {
    when        = destroy
    interpreter = ["python3", "-B", "${path.module}/host_keys.py"]
    command     = "forget"
    environment = { HOST_KEYS_ADDRESS = self.input.address }
  }
}
