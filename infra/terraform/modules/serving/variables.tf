variable "balancer_security_group_id" {
  description = "Group of the load balancer."
  type        = string
  nullable    = false
}

variable "cluster_arn" {
  description = "ECS cluster."
  type        = string
  nullable    = false
}

variable "colours" {
  description = "Blue and green: image, share of the requests in percent, size. A colour without requests may have no task."
  type = map(object({
    image = string
    share = number
    size  = object({ cpu = number, memory = number, disk_gb = optional(number, 21), min = number, max = number })
  }))
  nullable = false

  validation {
    condition     = toset(keys(var.colours)) == toset(["blue", "green"])
    error_message = "colours must be blue and green. Received: ${join(", ", keys(var.colours))}."
  }

  validation {
    condition     = alltrue([for one in values(var.colours) : one.share == 0 || one.size.min > 0])
    error_message = "a colour with a share of the requests must have at least one task."
  }
}

variable "door" {
  description = "The load balancer: output `door` of the module balancer."
  type        = object({ listener_arn = string, dns_name = string, dns_zone_id = string, zone_id = string, domain = string })
  nullable    = false
}

variable "environment" {
  description = "Further settings of the service, such as EVERGREEN_OIDC_ISSUER."
  type        = map(string)
  nullable    = false
  default     = {}
}

variable "kms_key_arn" {
  description = "Key of the store, the logs and the secrets."
  type        = string
  nullable    = false
}

variable "name" {
  description = "How names begin."
  type        = string
  nullable    = false
}

variable "network" {
  description = "Where it runs: the VPC, its addresses and its private subnets."
  type        = object({ vpc_id = string, cidr = string, subnet_ids = list(string) })
  nullable    = false
}

variable "problems" {
  description = "Problems whose models are served."
  type        = set(string)
  nullable    = false
}

variable "repository" {
  description = "ECR repository of the image."
  type        = string
  nullable    = false
}

variable "secrets" {
  description = "Secret settings: EVERGREEN_DATABASE_URL and EVERGREEN_SERVING_TOKEN."
  type        = map(string)
  nullable    = false
}

variable "store" {
  description = "The bucket: name and ARN."
  type        = object({ name = string, arn = string })
  nullable    = false
}
