terraform {
  required_version = ">= 1.6"
}

# Removes the folder. It stands apart from the check because a resource whose creation failed is
# tainted, and Terraform runs no destroy provisioner of a tainted resource.
resource "terraform_data" "folder" {
  input = var.project_name

  provisioner "local-exec" {
    when        = destroy
    interpreter = ["python3", "-B", "${path.module}/folder.py"]
    command     = "remove"
  }
}

# Checks the port, then makes the folder.
resource "terraform_data" "port" {
  triggers_replace = [terraform_data.folder.id, var.port]

  provisioner "local-exec" {
    interpreter = ["python3", "-B", "${path.module}/folder.py"]
    command     = "create"
    environment = { HUB_PORT = var.port }
  }
}
