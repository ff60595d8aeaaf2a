variable "clients" {
  description = "Security groups whose members may connect, by a name of theirs."
  type        = map(string)
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the disk and the secret."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the broker; ElastiCache takes 40 characters."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.name))
    error_message = "name must be at most 40 characters of a-z, 0-9 and '-'. Received: ${var.name}."
  }
}

variable "network" {
  description = "Where it stands: the VPC and its private subnets."
  type        = object({ vpc_id = string, subnet_ids = list(string) })
  nullable    = false
}

variable "node_type" {
  description = "Size of the machine."
  type        = string
  nullable    = false
  default     = "cache.t4g.small"
}

variable "replicated" {
  description = "Whether a second node in another zone takes over."
  type        = bool
  nullable    = false
}

variable "token_revision" {
  description = "A higher number draws a new token; start the tasks anew after it."
  type        = number
  nullable    = false
  default     = 1
}
