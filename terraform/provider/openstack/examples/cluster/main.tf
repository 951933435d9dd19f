# A master and two workers on a network of their own; credentials from OS_* or clouds.yaml:
#
#     terraform init && terraform apply -var "public_key=$(cat ~/.ssh/id_ed25519.pub)"

variable "public_key" {
  description = "Your public SSH key."
  type        = string
}

module "provider" {
  source = "../../"

  project_name         = "demo"
  nb_nodes             = 2
  instance_volume_size = 100
  ssh_authorized_keys  = [var.public_key]
  os_flavor_master     = "c4-30gb-83"
  os_flavor_node       = "c16-60gb-392"
  image_name           = "Ubuntu-24.04-Noble-x64-2025-01"
  public_network       = "Public-Network"
  ssh_cidrs            = ["203.0.113.7/32"]
}

output "ssh" {
  value = "ssh -o UserKnownHostsFile=known_hosts ${module.provider.admin_user}@${module.provider.public_ip}"
}
