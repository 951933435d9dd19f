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
  description = "Address that the name must point to."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrhost("${var.public_ip}/32", 0))
    error_message = "public_ip must be an IP address."
  }
}

variable "wait_seconds" {
  description = "Seconds that you have to make the record."
  type        = number
  nullable    = false
  default     = 1800

  validation {
    condition     = var.wait_seconds >= 1 && var.wait_seconds <= 86400
    error_message = "wait_seconds must be from 1 to 86400."
  }
}

variable "resolver" {
  description = "DNS server that is asked, ADDRESS or ADDRESS:PORT, and no other. Empty: the name servers of the domain's own zone."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition     = var.resolver == "" || can(cidrhost("${replace(replace(var.resolver, "/^([0-9.]+):[0-9]{1,5}$/", "$1"), "/^\\[(.*)\\](:[0-9]{1,5})?$/", "$1")}/32", 0))
    error_message = "resolver must be an IP address, and a port if need be, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353."
  }
}
