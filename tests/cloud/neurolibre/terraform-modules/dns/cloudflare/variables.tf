variable "domain" {
  description = "Name of the record"
}

variable "zone_id" {
  description = "Zone that it is made in"
}

variable "public_ip" {
  description = "Address that it points to"
}
