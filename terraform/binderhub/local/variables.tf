variable "ip" {
  description = "Address that the hub listens on; a local hub listens on 127.0.0.1 only."
  type        = string

  validation {
    condition     = var.ip == "127.0.0.1"
    error_message = "ip must be 127.0.0.1: a local hub is for this machine only."
  }
}

variable "port" {
  description = "TCP port that the hub listens on."
  type        = number

  validation {
    condition     = var.port == floor(var.port) && var.port >= 1024 && var.port <= 65535
    error_message = "port must be a whole number from 1024 to 65535."
  }
}

variable "domain" {
  description = "Name of the hub; its certificate must be valid for it."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+localhost$", var.domain))
    error_message = "domain must be a name under .localhost in lower case, such as demo.localhost."
  }
}

variable "admin_user" {
  description = "Account on the machine; here for likeness with the cloud's module, nothing uses it."
  type        = string
  default     = "local"
}

variable "binder_version" {
  description = "BinderHub to install: a published version, a path (./, ../ or /), or a git reference (git+https://host/repo@ref)."
  type        = string
  default     = "0.1.0"

  validation {
    condition     = can(regex("^([0-9][0-9A-Za-z.!+]*|\\.{0,2}/.+|git\\+[a-z]+://.+)$", var.binder_version))
    error_message = "binder_version must be a published version such as 0.1.0, a path that begins with ./, ../ or /, or a reference such as git+https://github.com/jupyterhub/binderhub@main. Versions of the helm chart (v0.2.0-n121.h6d936d7) are for the clouds' module."
  }
}

variable "wait_seconds" {
  description = "Seconds that the hub has to answer after its start, as long as it lives."
  type        = number
  default     = 600

  validation {
    condition     = var.wait_seconds >= 1 && var.wait_seconds <= 3600
    error_message = "wait_seconds must be from 1 to 3600."
  }
}

variable "hub_token" {
  description = "API token that BinderHub shows to JupyterHub."
  type        = string
  sensitive   = true
  nullable    = false

  validation {
    condition     = length(var.hub_token) >= 8
    error_message = "hub_token must have 8 characters or more."
  }
}

variable "cookie_secret" {
  description = "Secret that signs the hub's cookies and build tokens."
  type        = string
  sensitive   = true
  nullable    = false

  validation {
    condition     = length(var.cookie_secret) >= 16
    error_message = "cookie_secret must have 16 characters or more."
  }
}

variable "tls_certificate" {
  description = "Certificate of the hub and its chain, leaf first, in PEM."
  type        = string
  sensitive   = true
  nullable    = false

  validation {
    condition     = strcontains(var.tls_certificate, "-----BEGIN CERTIFICATE-----")
    error_message = "tls_certificate must be in PEM."
  }
}

variable "tls_key" {
  description = "Private key of the certificate in PEM, without a passphrase."
  type        = string
  sensitive   = true
  nullable    = false

  validation {
    condition     = can(regex("-----BEGIN ([A-Z]+ )?PRIVATE KEY-----", var.tls_key))
    error_message = "tls_key must be a private key in PEM, without a passphrase."
  }
}

variable "ca_certificate" {
  description = "Certificate of the CA that issued the hub's, in PEM; written to hub/ca.pem for those who visit."
  type        = string
  nullable    = false

  validation {
    condition     = strcontains(var.ca_certificate, "-----BEGIN CERTIFICATE-----")
    error_message = "ca_certificate must be in PEM."
  }
}
