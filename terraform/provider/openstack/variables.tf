variable "project_name" {
  description = "Name of the instance, the beginning of every name in the cloud: one DNS label."
  type        = string
  nullable    = false

  # A machine is called <project_name>-node<i>, and a host name has 63 characters at most (RFC 1123, 2.1).
  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?$", var.project_name))
    error_message = "project_name must be a DNS label: 1 to 50 of a-z, 0-9 and -, not first or last a -."
  }
}

variable "nb_nodes" {
  description = "Number of worker machines, the master not counted."
  type        = number
  nullable    = false

  validation {
    condition     = var.nb_nodes == floor(var.nb_nodes) && var.nb_nodes >= 0 && var.nb_nodes <= 250
    error_message = "nb_nodes must be a whole number from 0 to 250."
  }
}

variable "instance_volume_size" {
  description = "Size in GB of the volume that each machine boots from, the master's too."
  type        = number
  nullable    = false

  validation {
    condition     = var.instance_volume_size == floor(var.instance_volume_size) && var.instance_volume_size >= 10 && var.instance_volume_size <= 10000
    error_message = "instance_volume_size must be a whole number of GB from 10 to 10000."
  }
}

# Optional for Terraform only, so that an override file can give it where the recipe leaves it out.
variable "ssh_authorized_keys" {
  description = "Public SSH keys of those who administer the machines, in OpenSSH's format; the first is the key pair's, too."
  type        = list(string)
  nullable    = false
  default     = []

  validation {
    condition     = length(var.ssh_authorized_keys) > 0
    error_message = "ssh_authorized_keys must hold one public key or more: without one nobody can administer the machines."
  }

  validation {
    condition     = !anytrue([for key in var.ssh_authorized_keys : strcontains(key, "PRIVATE KEY")])
    error_message = "ssh_authorized_keys holds a private key: give the public half, what stands in the .pub file."
  }

  validation {
    condition = alltrue([
      for key in var.ssh_authorized_keys :
      can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\\.com) AAAA[0-9A-Za-z+/]+={0,2}( [^\\r\\n]*)?[\\r\\n]*$", key))
      || strcontains(key, "PRIVATE KEY")
    ])
    error_message = "each of ssh_authorized_keys must be one line of a .pub file, such as: ssh-ed25519 AAAA… name."
  }
}

variable "os_flavor_master" {
  description = "Flavor of the master, as in `openstack flavor list`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^\\s<>]([^<>]*[^\\s<>])?$", var.os_flavor_master))
    error_message = "os_flavor_master must be the name of a flavor: see openstack flavor list."
  }
}

variable "os_flavor_node" {
  description = "Flavor of the worker machines, as in `openstack flavor list`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^\\s<>]([^<>]*[^\\s<>])?$", var.os_flavor_node))
    error_message = "os_flavor_node must be the name of a flavor: see openstack flavor list."
  }
}

variable "image_name" {
  description = "Image that the machines are made from, as in `openstack image list`: a Linux with cloud-init. Of several with that name, the newest."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[^\\s<>]([^<>]*[^\\s<>])?$", var.image_name))
    error_message = "image_name must be the name of an image: see openstack image list."
  }
}

variable "admin_user" {
  description = "Account with sudo that the image's first user becomes."
  type        = string
  nullable    = false
  default     = "ubuntu"

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.admin_user)) && var.admin_user != "root"
    error_message = "admin_user must be the name of an account other than root: 1 to 32 of a-z, 0-9, _ and -, first a letter or _."
  }
}

variable "public_network" {
  description = "External network that the floating IP comes from."
  type        = string
  nullable    = false
  default     = "Public-Network"

  validation {
    condition     = can(regex("^[^\\s<>]([^<>]*[^\\s<>])?$", var.public_network))
    error_message = "public_network must be the name of an external network: see openstack network list --external."
  }
}

variable "is_computecanada" {
  description = "Whether the machines join the network that the project already has, as on the clouds of the Digital Research Alliance of Canada, where none can be made."
  type        = bool
  nullable    = false
  default     = false
}

variable "cc_private_network" {
  description = "With is_computecanada, the network to join; empty: <project>-network, <project> being OpenStack's project (def-…)."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = var.cc_private_network == "" || can(regex("^[^\\s<>]([^<>]*[^\\s<>])?$", var.cc_private_network))
    error_message = "cc_private_network must be the name of a network, or empty: see openstack network list --internal."
  }
}

variable "subnet_cidr" {
  description = "Addresses of the network that is made; nothing is made with is_computecanada. 10.42.0.0/16 and 10.43.0.0/16 are k3s's own."
  type        = string
  nullable    = false
  default     = "10.77.0.0/24"

  validation {
    condition = (
      can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.)[0-9.]+/(1[2-9]|2[0-8])$", var.subnet_cidr))
      && can(cidrhost(var.subnet_cidr, 0))
      && !startswith(var.subnet_cidr, "10.42.") && !startswith(var.subnet_cidr, "10.43.")
    )
    error_message = "subnet_cidr must be a private IPv4 range (RFC 1918) from /12 to /28, such as 10.77.0.0/24, outside of 10.42.0.0/16 and 10.43.0.0/16."
  }
}

variable "dns_nameservers" {
  description = "Name servers of the network that is made; empty: the cloud's own."
  type        = list(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for server in var.dns_nameservers : can(cidrhost("${server}/32", 0))])
    error_message = "dns_nameservers must be IP addresses."
  }
}

variable "ssh_cidrs" {
  description = "Address ranges that may reach the master by SSH: where you work, and CI's. Only the master can be reached; the others through it."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.ssh_cidrs) > 0
    error_message = "ssh_cidrs must hold one range or more, such as 203.0.113.7/32: BinderHub is installed by SSH."
  }

  validation {
    condition     = alltrue([for cidr in var.ssh_cidrs : can(cidrhost(cidr, 0))])
    error_message = "each of ssh_cidrs must be a range in CIDR notation, such as 203.0.113.7/32 for one address."
  }

  # A range so wide is not where somebody works; 0.0.0.0/1 and 128.0.0.0/1 are the world in two parts.
  validation {
    condition = alltrue([
      for cidr in var.ssh_cidrs :
      try(tonumber(split("/", cidr)[1]) >= (strcontains(cidr, ":") ? 32 : 8), true)
    ])
    error_message = "ssh_cidrs must not open SSH to the world: no 0.0.0.0/0, no ::/0, nothing wider than /8 (IPv6: /32)."
  }
}

variable "web_cidrs" {
  description = "Address ranges that may reach ports 80 and 443; behind Cloudflare's proxy, those of https://www.cloudflare.com/ips/."
  type        = list(string)
  nullable    = false
  default     = ["0.0.0.0/0"]

  validation {
    condition     = length(var.web_cidrs) > 0
    error_message = "web_cidrs must hold one range or more: nobody could reach the hub."
  }

  validation {
    condition     = alltrue([for cidr in var.web_cidrs : can(cidrhost(cidr, 0))])
    error_message = "each of web_cidrs must be a range in CIDR notation, such as 0.0.0.0/0."
  }
}

variable "host_keys_from" {
  description = "Where SSH host keys come from. console: read from each machine's console through OpenStack's API and written to known_hosts beside the recipe. first-use: nothing is written; whoever connects first believes what it is shown."
  type        = string
  nullable    = false
  default     = "console"

  validation {
    condition     = contains(["console", "first-use"], var.host_keys_from)
    error_message = "host_keys_from must be console or first-use."
  }
}

variable "wait_seconds" {
  description = "Seconds that a machine has to boot and to show its host keys."
  type        = number
  nullable    = false
  default     = 600

  validation {
    condition     = var.wait_seconds >= 1 && var.wait_seconds <= 3600
    error_message = "wait_seconds must be from 1 to 3600."
  }
}

variable "docker_registry" {
  description = "Registry of the images that BinderHub builds; empty: docker.io. This module only hands it on."
  type        = string
  nullable    = false
  default     = "docker.io"

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?)?$", var.docker_registry))
    error_message = "docker_registry must be the name of a host, and a port if need be, such as registry.example.org: no https://, no path."
  }
}

variable "docker_id" {
  description = "Account at the registry. This module only hands it on."
  type        = string
  nullable    = false
  default     = ""
}

variable "docker_password" {
  description = "Password or token of that account. This module only hands it on: it reaches no machine from here."
  type        = string
  nullable    = false
  sensitive   = true
  default     = ""
}
