variable "description" {
  description = "What the secret is for."
  type        = string
  nullable    = false
}

variable "fernet" {
  description = "Whether it is a Fernet key and not a password."
  type        = bool
  nullable    = false
  default     = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the secret."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name in Secrets Manager."
  type        = string
  nullable    = false
}

variable "recovery_days" {
  description = "Days in which a deletion can be taken back; 0 deletes at once."
  type        = number
  nullable    = false

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days must be 0 or 7 to 30. Received: ${var.recovery_days}."
  }
}

variable "revision" {
  description = "A higher number draws a new one."
  type        = number
  nullable    = false
}
