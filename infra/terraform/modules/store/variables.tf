variable "force_destroy" {
  description = "Whether destroying the environment deletes what the bucket holds."
  type        = bool
  nullable    = false
  default     = false
}

variable "kms_key_arn" {
  description = "Key that encrypts every object."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the bucket, unique in the world."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "name must be 3 to 63 characters of a-z, 0-9 and '-'. Received: ${var.name}."
  }
}

variable "noncurrent_days" {
  description = "Days for which an overwritten or deleted object can be brought back. An erasure is complete after them."
  type        = number
  nullable    = false
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "noncurrent_days must be at least 1. Received: ${var.noncurrent_days}."
  }
}
