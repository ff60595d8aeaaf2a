variable "door" {
  description = "The load balancer: output `door` of the module balancer."
  type = object({
    listener_arn = string
    dns_name     = string
    dns_zone_id  = string
    zone_id      = string
    domain       = string
  })
  nullable = false
}

variable "health_path" {
  description = "Path that answers 200 while a task is well."
  type        = string
  nullable    = false
}

variable "host" {
  description = "First part of the host name."
  type        = string
  nullable    = false
}

variable "name" {
  description = "How the target groups' names begin; AWS takes 32 characters in all."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.name) <= 26
    error_message = "name must have at most 26 characters. Received: ${var.name}."
  }
}

variable "port" {
  description = "Port of the tasks."
  type        = number
  nullable    = false
}

variable "shares" {
  description = "Groups of tasks, and how much of the requests each gets, in percent."
  type        = map(number)
  nullable    = false
  default     = { all = 100 }

  validation {
    condition     = sum(values(var.shares)) == 100 && alltrue([for share in values(var.shares) : share >= 0])
    error_message = "shares must add up to 100. Received: ${jsonencode(var.shares)}."
  }
}

variable "vpc_id" {
  description = "The network."
  type        = string
  nullable    = false
}
