terraform {
  required_version = ">= 0.13"

  required_providers {
    openstack = {
      source  = "terraform-provider-openstack/openstack"
      version = ">= 2.0, < 4.0"
    }
    template = {
      source = "hashicorp/template"
    }
  }
}
