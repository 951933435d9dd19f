terraform {
  required_version = ">= 1.6"
}

# Says which record to make, and waits until DNS shows it. Destroying it says which one to remove.
resource "terraform_data" "record" {
  triggers_replace = [var.domain, var.public_ip]
  input            = { domain = var.domain, public_ip = var.public_ip }

  provisioner "local-exec" {
    interpreter = ["python3", "-B", "${path.module}/record.py"]
    command     = "await"
    environment = {
      RECORD_DOMAIN       = var.domain
      RECORD_ADDRESS      = var.public_ip
      RECORD_WAIT_SECONDS = var.wait_seconds
      RECORD_RESOLVER     = var.resolver
    }
  }

  provisioner "local-exec" {
    when        = destroy
    interpreter = ["python3", "-B", "${path.module}/record.py"]
    command     = "farewell"
    environment = {
      RECORD_DOMAIN  = self.input.domain
      RECORD_ADDRESS = self.input.public_ip
    }
  }
}
