locals {
  # Neutron keeps a range as it is written and refuses the same twice: 10.1.2.3/8 becomes 10.0.0.0/8.
  ssh_cidrs = toset([for cidr in var.ssh_cidrs : cidrsubnet(cidr, 0, 0)])
  web_cidrs = toset([for cidr in var.web_cidrs : cidrsubnet(cidr, 0, 0)])
}

resource "openstack_networking_secgroup_v2" "cluster" {
  name        = "${var.project_name}-cluster"
  description = "barehub ${var.project_name}: what the machines say to one another"
  tags        = local.tags

  timeouts {
    delete = "2m"
  }
}

resource "openstack_networking_secgroup_v2" "master" {
  name        = "${var.project_name}-master"
  description = "barehub ${var.project_name}: what the world may say to the master"
  tags        = local.tags

  timeouts {
    delete = "2m"
  }
}

resource "openstack_networking_secgroup_rule_v2" "cluster" {
  direction         = "ingress"
  ethertype         = "IPv4"
  description       = "anything from the machines of this instance"
  security_group_id = openstack_networking_secgroup_v2.cluster.id
  remote_group_id   = openstack_networking_secgroup_v2.cluster.id
}

resource "openstack_networking_secgroup_rule_v2" "ssh" {
  for_each          = local.ssh_cidrs
  direction         = "ingress"
  ethertype         = strcontains(each.key, ":") ? "IPv6" : "IPv4"
  description       = "SSH from where people and CI work"
  protocol          = "tcp"
  port_range_min    = 22
  port_range_max    = 22
  remote_ip_prefix  = each.key
  security_group_id = openstack_networking_secgroup_v2.master.id
}

resource "openstack_networking_secgroup_rule_v2" "web" {
  for_each = {
    for pair in setproduct([80, 443], local.web_cidrs) : "${pair[0]} ${pair[1]}" => { port = pair[0], cidr = pair[1] }
  }
  direction         = "ingress"
  ethertype         = strcontains(each.value.cidr, ":") ? "IPv6" : "IPv4"
  description       = "visitors of the hub"
  protocol          = "tcp"
  port_range_min    = each.value.port
  port_range_max    = each.value.port
  remote_ip_prefix  = each.value.cidr
  security_group_id = openstack_networking_secgroup_v2.master.id
}
