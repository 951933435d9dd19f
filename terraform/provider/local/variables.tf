variable "project_name" {
  description = "Name of the instance: one DNS label."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.project_name))
    error_message = "project_name must be a DNS label: 1 to 63 of a-z, 0-9 and -, not first or last a -."
  }
}

variable "port" {
  description = "TCP port on 127.0.0.1 that the hub listens on."
  type        = number

  validation {
    condition     = var.port == floor(var.port) && var.port >= 1024 && var.port <= 65535
    error_message = "port must be a whole number from 1024 to 65535."
  }
}
