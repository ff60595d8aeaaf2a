variable "force_delete" {
  description = "Whether destroying the environment deletes images."
  type        = bool
  nullable    = false
  default     = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the images."
  type        = string
  nullable    = false
}

variable "name" {
  description = "First part of every repository's name."
  type        = string
  nullable    = false
}

variable "repositories" {
  description = "Second parts, one per image."
  type        = set(string)
  nullable    = false
}
