variable "cidr" {
  description = "Addresses of the network; a /16 to /20, split among the zones."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]), 0) >= 16 && try(tonumber(split("/", var.cidr)[1]), 99) <= 20
    error_message = "cidr must be an IPv4 range of /16 to /20, such as 10.20.0.0/16. Received: ${var.cidr}."
  }
}

variable "endpoints" {
  description = "AWS services that tasks reach by a private endpoint, by the last part of the service's name."
  type        = set(string)
  nullable    = false
}

variable "internet_egress" {
  description = "Whether tasks may begin connections to the internet, through a NAT gateway per zone."
  type        = bool
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the flow logs."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the network, and how its parts begin."
  type        = string
  nullable    = false
}

variable "zones" {
  description = "Availability zones with a private subnet each."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 6
    error_message = "zones must name two to six availability zones: databases and the load balancer need two. Received: ${length(var.zones)}."
  }
}
