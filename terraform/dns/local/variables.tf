variable "domain" {
  description = "Name of the hub: a name under .localhost."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+localhost$", var.domain)) && length(var.domain) <= 253
    error_message = "domain must be a name under .localhost in lower case, such as demo.localhost."
  }
}

variable "public_ip" {
  description = "Address that the name stands for: a loopback address."
  type        = string

  validation {
    condition     = can(regex("^127\\.", var.public_ip))
    error_message = "public_ip must be a loopback address: names under .localhost point nowhere else."
  }
}
