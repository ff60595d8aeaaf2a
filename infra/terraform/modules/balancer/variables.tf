variable "callers" {
  description = "Address ranges outside of the network from which people and clients come, such as the company's VPN."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for one in var.callers : can(cidrnetmask(one)) && !endswith(one, "/0")])
    error_message = "callers must be IPv4 ranges, and not everybody. Received: ${join(", ", var.callers)}."
  }
}

variable "certificate_arn" {
  description = "Certificate in ACM for *.domain that the containers trust, so one of a public authority."
  type        = string
  nullable    = false
}

variable "domain" {
  description = "Domain below which the services have their names."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the load balancer; AWS takes 32 characters."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,31}$", var.name))
    error_message = "name must be at most 32 characters of a-z, 0-9 and '-'. Received: ${var.name}."
  }
}

variable "network" {
  description = "Where it stands: the VPC, its addresses and its private subnets."
  type        = object({ vpc_id = string, cidr = string, subnet_ids = list(string) })
  nullable    = false
}

variable "protected" {
  description = "Whether it may not be deleted by mistake."
  type        = bool
  nullable    = false
}
