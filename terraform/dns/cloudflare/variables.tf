variable "domain" {
  description = "Name of the hub, in full."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.domain)) && length(var.domain) <= 253
    error_message = "domain must be a full name in lower case without a dot at the end, such as demo.example.org."
  }
}

variable "public_ip" {
  description = "Address that the name points to."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrhost("${var.public_ip}/32", 0))
    error_message = "public_ip must be an IP address."
  }
}

variable "project_name" {
  description = "Name of the instance, for the record's comment: barehub:<project_name>. Empty: the domain stands there."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$", var.project_name))
    error_message = "project_name must be a DNS label: 1 to 63 of a-z, 0-9 and -, not first or last a -."
  }
}

variable "zone" {
  description = "Cloudflare zone of the domain. Empty: the domain without its first label."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = can(regex("^(([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?)?$", var.zone))
    error_message = "zone must be the name of a zone in lower case, such as example.org."
  }
}

variable "zone_id" {
  description = "Id of that zone, in place of its name: the token then needs no right to list zones."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = can(regex("^([0-9a-f]{32})?$", var.zone_id))
    error_message = "zone_id must be 32 of 0-9 and a-f: it stands on the zone's overview page at Cloudflare."
  }
}

variable "proxied" {
  description = "Whether visitors go through Cloudflare. Its address then stands in DNS, and its certificate is what visitors see."
  type        = bool
  nullable    = false
  default     = false
}

variable "ttl" {
  description = "Seconds that resolvers may keep the record; 1 is Cloudflare's own choice. Does not count while proxied."
  type        = number
  nullable    = false
  default     = 300

  validation {
    condition     = var.ttl == floor(var.ttl) && (var.ttl == 1 || (var.ttl >= 60 && var.ttl <= 86400))
    error_message = "ttl must be 1, or a whole number from 60 to 86400."
  }
}
