variable "project_name" {
  description = "Name of the instance: one DNS label. The machines are called <project_name>-master and <project_name>-node<i>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,53}[a-z0-9])?$", var.project_name))
    error_message = "project_name must be a DNS label: 1 to 55 of a-z, 0-9 and -, not first or last a -."
  }
}

variable "master" {
  description = "Public IPv4 address of the machine that runs the hub itself."
  type        = string

  validation {
    condition     = can(cidrhost("${var.master}/32", 0))
    error_message = "master must be an IPv4 address."
  }
}

variable "nodes" {
  description = "IPv4 addresses of the machines on which visitors work, as the master reaches them."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.nodes : can(cidrhost("${address}/32", 0))])
    error_message = "Each of nodes must be an IPv4 address."
  }

  validation {
    condition     = length(distinct(var.nodes)) == length(var.nodes)
    error_message = "nodes must not name a machine twice."
  }
}

variable "admin_user" {
  description = "Account on every machine, with sudo without a password."
  type        = string

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.admin_user))
    error_message = "admin_user must be the name of an account: a-z, 0-9, _ and -."
  }
}

variable "ssh_port" {
  description = "TCP port of SSH on every machine."
  type        = number
  default     = 22

  validation {
    condition     = var.ssh_port == floor(var.ssh_port) && var.ssh_port >= 1 && var.ssh_port <= 65535
    error_message = "ssh_port must be a whole number from 1 to 65535."
  }
}

variable "ssh_authorized_keys" {
  description = "Public keys to let in besides those that are there; taken away when this is destroyed."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for key in var.ssh_authorized_keys : can(regex("^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\\n]*)?\\n?$", key))])
    error_message = "Each of ssh_authorized_keys must be a public key in one line, such as ssh-ed25519 AAAA…"
  }
}

variable "host_keys" {
  description = "Lines of known_hosts (host, type, key) for machines whose keys are known beforehand."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for line in var.host_keys : can(regex("^[^ ,*?!]+ [a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?$", line))])
    error_message = "Each of host_keys must be a line of known_hosts: one host, the key's type, the key."
  }
}

variable "min_memory_gb" {
  description = "Memory in GB that every machine must have."
  type        = number
  default     = 4

  validation {
    condition     = var.min_memory_gb >= 0
    error_message = "min_memory_gb must not be negative."
  }
}

variable "min_disk_gb" {
  description = "Size in GB that the disk below /var/lib must have on every machine."
  type        = number
  default     = 30

  validation {
    condition     = var.min_disk_gb >= 0
    error_message = "min_disk_gb must not be negative."
  }
}

variable "docker_registry" {
  description = "Registry of the images that BinderHub builds; docker.io if empty. Passed on."
  type        = string
  default     = ""
  nullable    = false
}

variable "docker_id" {
  description = "Account at the registry; empty where it needs none. Passed on."
  type        = string
  default     = ""
  nullable    = false
}

variable "docker_password" {
  description = "Password or token of that account. Passed on."
  type        = string
  default     = ""
  sensitive   = true
  nullable    = false
}
