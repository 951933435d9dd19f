variable "ip" {
  description = "Address of the master"
  type        = string
}

variable "admin_user" {
  description = "Account with sudo"
  type        = string
}

variable "project_name" {
  description = "As for the provider"
  type        = string
}

variable "binder_version" {
  description = "Version of the BinderHub chart"
  type        = string
}

variable "binder_deployment_yaml_config" {
  description = "Which configuration: config.yaml or prod-config.yaml"
  type        = string
}

variable "binderhub_subdomain" {
  description = "First label of the hub's name"
  type        = string
}

variable "binderhub_domain" {
  description = "The rest of it"
  type        = string
}

variable "TLS_name" {
  description = "Name of the certificate"
  type        = string
}

variable "TLS_email" {
  description = "Account at Let's Encrypt"
  type        = string
  sensitive   = true
}

variable "mem_alloc_gb" {
  description = "Memory of a user"
  type        = number
}

variable "cpu_alloc" {
  description = "Cores of a user"
  type        = number
}

variable "docker_registry" {
  description = "Registry of the images"
  type        = string
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

variable "cloudflare_token" {
  description = "Token that edits the zone"
  sensitive   = true
}

variable "cloudflare_zone_id" {
  description = "The zone"
  type        = string
  sensitive   = true
}

variable "grafana_subdomain" {
  description = "First label of Grafana's name"
  type        = string
}

variable "grafana_admin_user" {
  description = "Its administrator"
  type        = string
  sensitive   = true
}

variable "grafana_admin_password" {
  description = "His password"
  type        = string
  sensitive   = true
}

variable "prometheus_subdomain" {
  description = "First label of Prometheus' name"
  type        = string
  sensitive   = true
}
