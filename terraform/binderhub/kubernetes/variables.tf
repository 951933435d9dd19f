variable "ip" {
  description = "Public address of the master: SSH goes there, and so do the hub's visitors."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{1,3}(\\.[0-9]{1,3}){3}$", var.ip)) && can(cidrhost("${var.ip}/32", 0))
    error_message = "ip must be an IPv4 address."
  }
}

variable "project_name" {
  description = "Name of the instance: one DNS label; the master becomes <project_name>-master in Kubernetes."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,53}[a-z0-9])?$", var.project_name))
    error_message = "project_name must be a DNS label: 1 to 55 of a-z, 0-9 and -, not first or last a -."
  }
}

variable "nodes" {
  description = "Machines for visitors, reached through the master. With none, they work on the master."
  type        = list(object({ name = string, ip = string }))
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for node in var.nodes : can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", node.name))])
    error_message = "Each node's name must be a DNS label: 1 to 63 of a-z, 0-9 and -, not first or last a -."
  }

  validation {
    condition     = alltrue([for node in var.nodes : can(cidrhost("${node.ip}/32", 0))])
    error_message = "Each node's ip must be an IPv4 address, as the master reaches it."
  }

  validation {
    condition     = length(distinct(var.nodes[*].name)) == length(var.nodes) && length(distinct(var.nodes[*].ip)) == length(var.nodes)
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

variable "domain" {
  description = "Name of the hub; it must lead to ip."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z][a-z0-9-]*[a-z0-9]$", var.domain)) && length(var.domain) <= 253
    error_message = "domain must be a host name in lower case, such as hub.example.org."
  }
}

variable "binder_version" {
  description = "Version of the chart binderhub, 1.0.0 or later (https://hub.jupyter.org/helm-chart/)."
  type        = string

  validation {
    condition     = can(regex("^[1-9][0-9]*\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?$", var.binder_version))
    error_message = "binder_version must be a version of the chart from 1.0.0 on, such as 1.0.0-0.dev.git.3983.h383374de: earlier ones need a Kubernetes that nobody maintains."
  }
}

variable "TLS_email" {
  description = "Account e-mail at Let's Encrypt, which writes there before a certificate ends."
  type        = string

  validation {
    condition     = can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", var.TLS_email)) && !can(regex("@example\\.(com|net|org)$", var.TLS_email))
    error_message = "TLS_email must be an e-mail address, and Let's Encrypt refuses those of example.org."
  }
}

variable "TLS_name" {
  description = "Name of the certificate in Kubernetes; the domain with - for . if empty."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$", var.TLS_name))
    error_message = "TLS_name must be 1 to 63 of a-z, 0-9 and -, not first or last a -."
  }
}

variable "acme_server" {
  description = "Directory of the certificate authority; https://acme-staging-v02.api.letsencrypt.org/directory for trials."
  type        = string
  default     = "https://acme-v02.api.letsencrypt.org/directory"

  validation {
    condition     = can(regex("^https://[^ ]+$", var.acme_server))
    error_message = "acme_server must be an https:// address."
  }
}

variable "mem_alloc_gb" {
  description = "Memory of each visitor in GB: guaranteed, and no more than that."
  type        = number
  default     = 2

  validation {
    condition     = var.mem_alloc_gb >= 0.25 && var.mem_alloc_gb <= 1024
    error_message = "mem_alloc_gb must be from 0.25 to 1024."
  }
}

variable "cpu_alloc" {
  description = "Cores of each visitor: guaranteed, and no more than that."
  type        = number
  default     = 1

  validation {
    condition     = var.cpu_alloc >= 0.1 && var.cpu_alloc <= 256
    error_message = "cpu_alloc must be from 0.1 to 256."
  }
}

variable "docker_registry" {
  description = "Registry of the built images, with its port if it has one; docker.io if empty."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?)?$", var.docker_registry))
    error_message = "docker_registry must be a host such as registry.example.org:5000, without https:// and path."
  }
}

variable "docker_id" {
  description = "Account at the registry; empty for a registry without accounts."
  type        = string
  default     = ""
  nullable    = false
}

variable "docker_password" {
  description = "Password or token of that account."
  type        = string
  default     = ""
  sensitive   = true
  nullable    = false
}

variable "hub_token" {
  description = "API token with which BinderHub asks JupyterHub for servers."
  type        = string
  sensitive   = true
  nullable    = false

  validation {
    condition     = length(var.hub_token) >= 32
    error_message = "hub_token must have 32 characters or more."
  }
}

variable "reachable_networks" {
  description = "Private networks (CIDR) that builds and visitors may reach all the same, such as the registry's."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.reachable_networks : can(cidrnetmask(cidr)) && cidr != "0.0.0.0/0"])
    error_message = "Each of reachable_networks must be a network such as 10.1.2.0/24."
  }

  validation {
    condition     = !anytrue([for cidr in var.reachable_networks : can(regex("^(169\\.254|[0-9.]+/[0-7]$)", cidr))])
    error_message = "reachable_networks must not hold the cloud's metadata address, 169.254.169.254."
  }
}

variable "values" {
  description = "More values for the chart binderhub, over those of this module; no secrets."
  type        = any
  default     = {}
  nullable    = false

  validation {
    condition     = can(keys(var.values))
    error_message = "values must be an object, as in the chart's values.yaml."
  }
}

variable "k3s_version" {
  description = "Version of k3s."
  type        = string
  default     = "v1.36.4+k3s1"

  validation {
    condition     = can(regex("^v1\\.[0-9]+\\.[0-9]+(-rc[0-9]+)?\\+k3s[0-9]+$", var.k3s_version))
    error_message = "k3s_version must be a release such as v1.36.4+k3s1."
  }
}

variable "helm_version" {
  description = "Version of Helm."
  type        = string
  default     = "v4.2.3"

  validation {
    condition     = can(regex("^v[34]\\.[0-9]+\\.[0-9]+$", var.helm_version))
    error_message = "helm_version must be a release such as v4.2.3."
  }
}

variable "cert_manager_version" {
  description = "Version of the chart cert-manager."
  type        = string
  default     = "v1.21.0"

  validation {
    condition     = can(regex("^v1\\.[0-9]+\\.[0-9]+$", var.cert_manager_version))
    error_message = "cert_manager_version must be a release such as v1.21.0."
  }
}

variable "mirror" {
  description = "Address that stands before all downloads in place of https://, for machines without the internet."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(https?://[^ ]+)?$", var.mirror))
    error_message = "mirror must be an http:// or https:// address."
  }
}

variable "wait_seconds" {
  description = "Seconds that each wait may take: for k3s, for the nodes, for the hub."
  type        = number
  default     = 900

  validation {
    condition     = var.wait_seconds == floor(var.wait_seconds) && var.wait_seconds >= 1 && var.wait_seconds <= 7200
    error_message = "wait_seconds must be a whole number from 1 to 7200."
  }
}

variable "uninstall" {
  description = "Whether destroying this takes k3s off the machines; false where the machines are destroyed as well."
  type        = bool
  default     = true
  nullable    = false
}
