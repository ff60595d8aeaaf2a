variable "environment" {
  description = "Value of the tag `environment` whose costs count."
  type        = string
  nullable    = false
}

variable "monthly_usd" {
  description = "What a month may cost in US dollars: everything, and the workers that train."
  type        = object({ total = number, training = number })
  nullable    = false

  validation {
    condition     = var.monthly_usd.training > 0 && var.monthly_usd.training <= var.monthly_usd.total
    error_message = "monthly_usd.training must be above 0 and not above total. Received: ${var.monthly_usd.training} of ${var.monthly_usd.total}."
  }
}

variable "name" {
  description = "How names begin."
  type        = string
  nullable    = false
}

variable "topic_arn" {
  description = "SNS topic that is told at 80 % spent, and when the forecast passes the limit."
  type        = string
  nullable    = false
}
