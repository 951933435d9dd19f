variable "project_name" {
  description = "What the names of all resources begin with"
}

variable "nb_nodes" {
  description = "Worker nodes"
}

variable "instance_volume_size" {
  description = "GB of each disk"
}

variable "ssh_authorized_keys" {
  description = "Public keys that may log in"
  type        = list(string)
  sensitive   = true
}

variable "os_flavor_node" {
  description = "Flavor of a worker"
}

variable "os_flavor_master" {
  description = "Flavor of the master"
}

variable "admin_user" {
  description = "Account with sudo"
  default     = "ubuntu"
}

variable "image_name" {
  description = "Image of the disks"
}

variable "is_computecanada" {
  description = "Whether the network is there already"
  default     = false
}

variable "cc_private_network" {
  description = "That network"
  default     = ""
}

variable "public_network" {
  description = "Where floating addresses come from"
  default     = "Public-Network"
}

variable "docker_registry" {
  description = "Registry of the images"
  default     = "docker.io"
}

variable "docker_id" {
  description = "Account at the registry"
  sensitive   = true
}

variable "docker_password" {
  description = "Its password"
  sensitive   = true
}

variable "sftp_secgroup_name" {
  description = "Security group of the file server, which is there already"
}

variable "sftp_ip_address" {
  description = "Its address"
}

variable "sftp_mnt_dir" {
  description = "Where it is mounted"
}

variable "ssh_private_key_path" {
  description = "Folder of a private key on the operator's machine"
  type        = string
  sensitive   = true
}

variable "ssh_private_key_name" {
  description = "The key's file in it"
  type        = string
  sensitive   = true
}
