locals {
  tags  = ["barehub:${var.project_name}"]
  nodes = [for i in range(var.nb_nodes) : "node${i + 1}"]

  # By role, each machine's flavor: what is called master is never one of the others.
  machines = merge({ master = var.os_flavor_master }, { for node in local.nodes : node => var.os_flavor_node })
}

# The list may be empty without an error: a cloud that withdraws an image must not stop a teardown.
data "openstack_images_image_ids_v2" "named" {
  name = var.image_name
  sort = "created_at:desc"
}

# What the image's name meant when the first machine was made. A newer image of that name would
# otherwise replace every disk; another name is for machines to come.
resource "terraform_data" "image" {
  for_each = toset([var.image_name])
  input    = try(data.openstack_images_image_ids_v2.named.ids[0], null)

  lifecycle {
    ignore_changes = [input]

    postcondition {
      condition     = self.input != null
      error_message = "the cloud has no image ${var.image_name}: see openstack image list."
    }
  }
}

resource "openstack_compute_keypair_v2" "admin" {
  name       = "${var.project_name}-key"
  public_key = trimspace(var.ssh_authorized_keys[0])
}

resource "openstack_blockstorage_volume_v3" "machine" {
  for_each             = local.machines
  name                 = "${var.project_name}-${each.key}-volume"
  description          = "barehub ${var.project_name}"
  size                 = var.instance_volume_size
  enable_online_resize = true
  image_id             = terraform_data.image[var.image_name].output
  metadata             = { barehub = var.project_name }

  lifecycle {
    ignore_changes = [image_id]
  }
}

resource "openstack_compute_instance_v2" "machine" {
  for_each    = local.machines
  name        = "${var.project_name}-${each.key}"
  flavor_name = each.value
  key_pair    = openstack_compute_keypair_v2.admin.name
  metadata    = { barehub = var.project_name }

  # No secret is in here: user data can be read on the machine, in its console's log and by the cloud.
  user_data = join("\n", ["#cloud-config", yamlencode({
    hostname            = "${var.project_name}-${each.key}"
    user                = var.admin_user
    ssh_authorized_keys = [for key in var.ssh_authorized_keys : trimspace(key)]
    ssh_pwauth          = false
    disable_root        = true
    ssh                 = { emit_keys_to_console = true }
  })])

  block_device {
    uuid                  = openstack_blockstorage_volume_v3.machine[each.key].id
    source_type           = "volume"
    destination_type      = "volume"
    boot_index            = 0
    delete_on_termination = false
  }

  network {
    port = openstack_networking_port_v2.machine[each.key].id
  }

  # Both are read at the first boot only, and a change of either would replace the machine.
  lifecycle {
    ignore_changes = [user_data, key_pair]
  }

  # cloud-init fetches packages and metadata through it.
  depends_on = [openstack_networking_router_interface_v2.own]
}
