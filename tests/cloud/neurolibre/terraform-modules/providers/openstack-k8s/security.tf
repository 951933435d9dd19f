resource "openstack_networking_secgroup_v2" "cluster" {
  name        = "${var.project_name}-secgroup-new"
  description = "All machines of the cluster"
}

# Between the machines; port 0 to 0 is upstream's way of saying "all".
resource "openstack_networking_secgroup_rule_v2" "inside" {
  for_each = toset(["icmp", "tcp", "udp"])

  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = each.key
  port_range_min    = 0
  port_range_max    = 0
  remote_group_id   = openstack_networking_secgroup_v2.cluster.id
  security_group_id = openstack_networking_secgroup_v2.cluster.id
}

# Open to the world, SSH too: the fault is upstream's.
resource "openstack_networking_secgroup_rule_v2" "world" {
  for_each = toset(["22", "80", "443"])

  direction         = "ingress"
  ethertype         = "IPv4"
  protocol          = "tcp"
  port_range_min    = tonumber(each.key)
  port_range_max    = tonumber(each.key)
  remote_ip_prefix  = "0.0.0.0/0"
  security_group_id = openstack_networking_secgroup_v2.cluster.id
}
