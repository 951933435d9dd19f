"""A real OpenStack on loopback: keystone, glance, placement, nova, neutron and cinder of 2025.1.

SQLite for every database; no message bus, no hypervisor, no agent. What stands for hardware is in
``tests/cloud/inside``, which runs with OpenStack's own Python: servers are processes in namespaces
with a real sshd, volumes are sparse files, floating addresses are addresses of 127/8.
"""
