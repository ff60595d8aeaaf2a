variable "backup_days" {
  description = "Days back to which the database can be restored, to the second."
  type        = number
  nullable    = false
  default     = 14

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "backup_days must be 1 to 35. Received: ${var.backup_days}."
  }
}

variable "clients" {
  description = "Security groups whose members may connect, by a name of theirs."
  type        = map(string)
  nullable    = false
}

variable "database" {
  description = "Name of the database and of its owner."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,62}$", var.database))
    error_message = "database must begin with a letter and hold a-z, 0-9 and '_'. Received: ${var.database}."
  }
}

variable "engine_version" {
  description = "Major version of PostgreSQL; minor ones come by themselves."
  type        = string
  nullable    = false
  default     = "17"
}

variable "instance_class" {
  description = "Size of the machine."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the disk and the secrets."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the instance."
  type        = string
  nullable    = false
}

variable "network" {
  description = "Where it stands: the VPC and its private subnets."
  type        = object({ vpc_id = string, subnet_ids = list(string) })
  nullable    = false
}

variable "password" {
  description = "The owner's password: output `value` of the module secret. It is written, and never kept in plan or state."
  type        = string
  nullable    = false
  ephemeral   = true
}

variable "password_revision" {
  description = "Goes up with the revision of the secret; start the tasks anew after it."
  type        = number
  nullable    = false
  default     = 1
}

variable "protected" {
  description = "Whether it must outlive mistakes: a standby in another zone, no deletion, a last snapshot."
  type        = bool
  nullable    = false
}

variable "scheme" {
  description = "How the address begins: postgresql for libpq, postgresql+psycopg2 for SQLAlchemy."
  type        = string
  nullable    = false
  default     = "postgresql"
}

variable "storage_gb" {
  description = "Gigabytes to begin with; the disk grows by itself to four times as many."
  type        = number
  nullable    = false
  default     = 20

  validation {
    condition     = var.storage_gb >= 20
    error_message = "storage_gb must be at least 20, the least of a gp3 disk. Received: ${var.storage_gb}."
  }
}
