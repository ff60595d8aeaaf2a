variable "balancer" {
  description = "How CloudWatch names the load balancer."
  type        = string
  nullable    = false
}

variable "databases" {
  description = "Names of the database instances."
  type        = set(string)
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts messages."
  type        = string
  nullable    = false
}

variable "limits" {
  description = "When an alarm rings: answers with 5xx a minute, seconds of the slowest hundredth, free gigabytes of a database."
  type = object({
    errors_per_minute = optional(number, 5)
    p99_seconds       = optional(number, 0.5)
    free_gb           = optional(number, 5)
  })
  nullable = false
  default  = {}
}

variable "mail" {
  description = "Mail addresses that are told; each must confirm once."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.mail) > 0 && alltrue([for one in var.mail : can(regex("^[^@ ]+@[^@ ]+$", one))])
    error_message = "mail must hold at least one mail address: an alarm that nobody gets is none. Received: ${join(", ", var.mail)}."
  }
}

variable "name" {
  description = "How names begin, and the namespace of our own metrics."
  type        = string
  nullable    = false
}

variable "problems" {
  description = "Problems of which a night must end well each day."
  type        = set(string)
  nullable    = false
}

variable "scheduler_log_group" {
  description = "Log group of Airflow's scheduler."
  type        = string
  nullable    = false
}
