data "openstack_networking_network_v2" "public" {
  name     = var.public_network
  external = true
}

# The name of OpenStack's own project, which the network of an Alliance cloud is called after.
data "openstack_identity_auth_scope_v3" "current" {
  count = var.is_computecanada && var.cc_private_network == "" ? 1 : 0
  name  = "current"
}

data "openstack_networking_network_v2" "existing" {
  count = var.is_computecanada ? 1 : 0
  name = (
    var.cc_private_network != ""
    ? var.cc_private_network
    : "${data.openstack_identity_auth_scope_v3.current[0].project_name}-network"
  )
}

resource "openstack_networking_network_v2" "own" {
  count       = var.is_computecanada ? 0 : 1
  name        = "${var.project_name}-network"
  description = "barehub ${var.project_name}"
  tags        = local.tags

  lifecycle {
    precondition {
      condition     = var.cc_private_network == ""
      error_message = "cc_private_network is for is_computecanada = true only: set that, or leave cc_private_network out."
    }
  }

  timeouts {
    delete = "2m"
  }
}

resource "openstack_networking_subnet_v2" "own" {
  count           = var.is_computecanada ? 0 : 1
  name            = "${var.project_name}-subnet"
  description     = "barehub ${var.project_name}"
  network_id      = openstack_networking_network_v2.own[0].id
  cidr            = var.subnet_cidr
  dns_nameservers = var.dns_nameservers
  tags            = local.tags

  # The provider goes on asking as long as something uses it: that ends by itself soon, or never.
  timeouts {
    delete = "2m"
  }
}

resource "openstack_networking_router_v2" "own" {
  count               = var.is_computecanada ? 0 : 1
  name                = "${var.project_name}-router"
  description         = "barehub ${var.project_name}"
  external_network_id = data.openstack_networking_network_v2.public.id
  tags                = local.tags
}

resource "openstack_networking_router_interface_v2" "own" {
  count     = var.is_computecanada ? 0 : 1
  router_id = openstack_networking_router_v2.own[0].id
  subnet_id = openstack_networking_subnet_v2.own[0].id

  timeouts {
    delete = "2m"
  }
}

resource "openstack_networking_port_v2" "machine" {
  for_each    = local.machines
  name        = "${var.project_name}-${each.key}"
  description = "barehub ${var.project_name}"
  network_id = (
    var.is_computecanada
    ? data.openstack_networking_network_v2.existing[0].id
    : openstack_networking_network_v2.own[0].id
  )
  security_group_ids = concat(
    [openstack_networking_secgroup_v2.cluster.id],
    each.key == "master" ? [openstack_networking_secgroup_v2.master.id] : []
  )
  tags = local.tags

  dynamic "fixed_ip" {
    for_each = openstack_networking_subnet_v2.own
    content {
      subnet_id = fixed_ip.value.id
    }
  }
}

resource "openstack_networking_floatingip_v2" "hub" {
  pool        = data.openstack_networking_network_v2.public.name
  description = "barehub ${var.project_name}: address of the hub"
  tags        = local.tags
}

resource "openstack_networking_floatingip_associate_v2" "hub" {
  floating_ip = openstack_networking_floatingip_v2.hub.address
  port_id     = openstack_networking_port_v2.machine["master"].id

  # Neutron refuses it before a router leads from the port to the external network.
  depends_on = [openstack_networking_router_interface_v2.own]
}
