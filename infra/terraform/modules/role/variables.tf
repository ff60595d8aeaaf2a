variable "bucket_arn" {
  description = "The store."
  type        = string
  nullable    = false
}

variable "description" {
  description = "Whose role it is."
  type        = string
  nullable    = false
}

variable "keep" {
  description = "Patterns of names in the store that are never written or deleted, though write holds them."
  type        = set(string)
  nullable    = false
  default     = []
}

variable "kms_key_arn" {
  description = "Key of the store."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the role."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.name) <= 64
    error_message = "name must have at most 64 characters. Received: ${var.name}."
  }
}

variable "read" {
  description = "Patterns of names in the store that are read and listed, such as store/flights/*."
  type        = set(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for one in var.read : can(regex("^[a-z]", one))])
    error_message = "read must name a prefix, not the whole store. Received: ${join(", ", var.read)}."
  }
}

variable "service" {
  description = "Services of AWS that take the role on for their containers."
  type        = list(string)
  nullable    = false
  default     = ["ecs-tasks.amazonaws.com"]
}

variable "write" {
  description = "Patterns of names in the store that are read, written and deleted."
  type        = set(string)
  nullable    = false
  default     = []

  validation {
    condition     = alltrue([for one in var.write : can(regex("^[a-z]", one))])
    error_message = "write must name a prefix, not the whole store. Received: ${join(", ", var.write)}."
  }
}
