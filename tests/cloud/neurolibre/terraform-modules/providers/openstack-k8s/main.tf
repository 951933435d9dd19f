# What is there already: the image, both networks, the file server's security group.

data "openstack_images_image_v2" "disk" {
  name        = var.image_name
  most_recent = true
}

data "openstack_networking_network_v2" "public" {
  name     = var.public_network
  external = true
}

data "openstack_networking_network_v2" "private" {
  name = var.cc_private_network
}

data "openstack_networking_secgroup_v2" "sftp" {
  name = var.sftp_secgroup_name
}

# The operator's private key goes into the master's user data: the fault is upstream's.
data "local_sensitive_file" "private_key" {
  filename = "${var.ssh_private_key_path}/${var.ssh_private_key_name}"
}

locals {
  groups = [
    openstack_networking_secgroup_v2.cluster.id,
    data.openstack_networking_secgroup_v2.sftp.id,
  ]
  private_network = var.is_computecanada ? data.openstack_networking_network_v2.private.name : "${var.project_name}-network"
}

resource "openstack_compute_keypair_v2" "first" {
  name       = "${var.project_name}-keypair-ed25519"
  public_key = var.ssh_authorized_keys[0]
}

resource "openstack_blockstorage_volume_v3" "master" {
  name     = "master-volume" # as upstream: without the project's name
  size     = var.instance_volume_size
  image_id = data.openstack_images_image_v2.disk.id
}

resource "openstack_networking_port_v2" "master" {
  name               = "${var.project_name}-master"
  network_id         = data.openstack_networking_network_v2.private.id
  admin_state_up     = true
  security_group_ids = local.groups
}

resource "openstack_compute_instance_v2" "master" {
  name            = "${var.project_name}-master"
  flavor_name     = var.os_flavor_master
  key_pair        = openstack_compute_keypair_v2.first.name
  security_groups = local.groups
  user_data       = data.template_cloudinit_config.master.rendered

  block_device {
    uuid                  = openstack_blockstorage_volume_v3.master.id
    source_type           = "volume"
    destination_type      = "volume"
    boot_index            = 0
    delete_on_termination = true
  }

  network {
    port = openstack_networking_port_v2.master.id
  }
}

resource "openstack_blockstorage_volume_v3" "node" {
  count = var.nb_nodes

  name     = format("node-%02d-volume", count.index + 1)
  size     = var.instance_volume_size
  image_id = data.openstack_images_image_v2.disk.id
}

resource "openstack_compute_instance_v2" "node" {
  count = var.nb_nodes

  name            = "${var.project_name}-node${count.index + 1}"
  flavor_name     = var.os_flavor_node
  key_pair        = openstack_compute_keypair_v2.first.name
  security_groups = local.groups
  user_data       = data.template_cloudinit_config.node[count.index].rendered

  block_device {
    uuid                  = openstack_blockstorage_volume_v3.node[count.index].id
    source_type           = "volume"
    destination_type      = "volume"
    boot_index            = 0
    delete_on_termination = true
  }

  network {
    name = local.private_network
  }
}

resource "openstack_networking_floatingip_v2" "master" {
  pool = data.openstack_networking_network_v2.public.name
}

resource "openstack_networking_floatingip_associate_v2" "master" {
  floating_ip = openstack_networking_floatingip_v2.master.address
  port_id     = openstack_networking_port_v2.master.id
}
