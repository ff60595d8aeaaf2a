variable "deletion_days" {
  description = "Days in which the deletion of the key, and so of everything, can be taken back."
  type        = number
  nullable    = false
  default     = 30

  validation {
    condition     = var.deletion_days >= 7 && var.deletion_days <= 30
    error_message = "deletion_days must be 7 to 30. Received: ${var.deletion_days}."
  }
}

variable "name" {
  description = "Alias of the key."
  type        = string
  nullable    = false
}
