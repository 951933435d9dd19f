data "template_file" "common" {
  template = file("${path.module}/../../../cloud-init/kubeadm/common.yaml")

  vars = {
    ssh_authorized_keys = join("\n", [for key in var.ssh_authorized_keys : "  - ${key}"])
  }
}

data "template_file" "master" {
  template = file("${path.module}/../../../cloud-init/kubeadm/master.yaml")

  vars = {
    admin_user           = var.admin_user
    project_name         = var.project_name
    nb_nodes             = var.nb_nodes
    docker_registry      = var.docker_registry
    docker_id            = var.docker_id
    docker_password      = var.docker_password
    sftp_ip              = var.sftp_ip_address
    sftp_dir             = var.sftp_mnt_dir
    ssh_private_key_name = var.ssh_private_key_name
    ssh_private_key      = base64encode(data.local_sensitive_file.private_key.content)
  }
}

data "template_file" "node" {
  template = file("${path.module}/../../../cloud-init/kubeadm/node.yaml")

  vars = {
    admin_user      = var.admin_user
    master_ip       = openstack_compute_instance_v2.master.access_ip_v4
    docker_registry = var.docker_registry
    docker_id       = var.docker_id
    docker_password = var.docker_password
    sftp_ip         = var.sftp_ip_address
    sftp_dir        = var.sftp_mnt_dir
  }
}

data "template_cloudinit_config" "master" {
  part {
    filename     = "common.yaml"
    content_type = "text/cloud-config"
    content      = data.template_file.common.rendered
    merge_type   = "list(append)+dict(recurse_array)+str()"
  }

  part {
    filename     = "master.yaml"
    content_type = "text/cloud-config"
    content      = data.template_file.master.rendered
    merge_type   = "list(append)+dict(recurse_array)+str()"
  }
}

data "template_cloudinit_config" "node" {
  count = var.nb_nodes

  part {
    filename     = "common.yaml"
    content_type = "text/cloud-config"
    content      = data.template_file.common.rendered
    merge_type   = "list(append)+dict(recurse_array)+str()"
  }

  part {
    filename     = "node.yaml"
    content_type = "text/cloud-config"
    content      = data.template_file.node.rendered
    merge_type   = "list(append)+dict(recurse_array)+str()"
  }
}
