variable "airflow" {
  description = "Airflow on `ecs` (our image, pools of workers with rights of their own) or `mwaa` (as AWS runs it, one role for all)."
  type = object({
    kind             = string
    environment      = optional(map(string), {})
    mwaa_version     = optional(string)
    mwaa_class       = optional(string)
    mwaa_max_workers = optional(number, 2)
    sizes            = optional(map(object({ cpu = number, memory = number, disk_gb = optional(number, 21), min = number, max = number })), {})
    workers = optional(map(object({
      queues         = list(string)
      problems       = set(string)
      changes_tables = bool
      reads_source   = bool
      concurrency    = number
      size           = object({ cpu = number, memory = number, disk_gb = optional(number, 21), min = number, max = number })
    })), {})
  })
  nullable = false

  validation {
    condition     = contains(["ecs", "mwaa"], var.airflow.kind)
    error_message = "airflow.kind must be ecs or mwaa. Received: ${var.airflow.kind}."
  }

  validation {
    condition     = var.airflow.kind == "ecs" || (var.airflow.mwaa_version != null && var.airflow.mwaa_class != null)
    error_message = "airflow.kind = mwaa needs airflow.mwaa_version and airflow.mwaa_class."
  }

  validation {
    condition     = var.airflow.kind == "mwaa" || length(setsubtract(var.problems, flatten([for pool in var.airflow.workers : tolist(pool.problems)]))) == 0
    error_message = "airflow.workers must have a pool for every problem, or its tasks wait forever."
  }
}

variable "bucket_suffix" {
  description = "Makes the bucket's name unique in the world, such as the account's number."
  type        = string
  nullable    = false
}

variable "callers" {
  description = "Address ranges from which people and clients come, such as the company's VPN; never everybody."
  type        = set(string)
  nullable    = false
}

variable "certificate_arn" {
  description = "Certificate in ACM for *.domain, of a public authority."
  type        = string
  nullable    = false
}

variable "database" {
  description = "Size of each PostgreSQL: class, gigabytes to begin with, days back to which it can be restored."
  type        = object({ instance_class = string, storage_gb = number, backup_days = number })
  nullable    = false
}

variable "domain" {
  description = "Domain of the names airflow, mlflow and serving."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Which of the environments it is, in names and tags."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,7}$", var.environment))
    error_message = "environment must be 2 to 8 characters of a-z and 0-9. Received: ${var.environment}."
  }
}

variable "images" {
  description = "Tag of the image evergreen-airflow, which MLflow runs from too."
  type        = map(string)
  nullable    = false

  validation {
    condition     = toset(keys(var.images)) == toset(["evergreen-airflow"])
    error_message = "images must hold the tag of evergreen-airflow; those of evergreen-serving stand under serving."
  }
}

variable "mail" {
  description = "Mail addresses that alarms and budgets tell."
  type        = set(string)
  nullable    = false
}

variable "monthly_usd" {
  description = "What a month may cost in US dollars: everything, and the workers that train."
  type        = object({ total = number, training = number })
  nullable    = false
}

variable "name" {
  description = "How every name begins."
  type        = string
  nullable    = false
  default     = "evergreen"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,9}$", var.name))
    error_message = "name must be 2 to 10 characters of a-z, 0-9 and '-': AWS allows target groups 32 in all. Received: ${var.name}."
  }
}

variable "network" {
  description = "Addresses, number of zones, and whether tasks may begin connections to the internet (alerts, identity provider)."
  type        = object({ cidr = string, zones = number, internet_egress = bool })
  nullable    = false
}

variable "noncurrent_days" {
  description = "Days for which an overwritten or deleted object of the store can be brought back."
  type        = number
  nullable    = false
}

variable "problems" {
  description = "Names of the problems, as in their files."
  type        = set(string)
  nullable    = false
}

variable "protected" {
  description = "Whether data must outlive mistakes: standbys, no deletion, last snapshots."
  type        = bool
  nullable    = false
}

variable "region" {
  description = "Region of AWS."
  type        = string
  nullable    = false
}

variable "serving" {
  description = "Blue and green of the prediction service: the image's tag, percent of the requests, size."
  type = map(object({
    tag   = string
    share = number
    size  = object({ cpu = number, memory = number, disk_gb = optional(number, 21), min = number, max = number })
  }))
  nullable = false
}

variable "serving_environment" {
  description = "Further settings of the prediction service, such as EVERGREEN_OIDC_ISSUER and EVERGREEN_OIDC_AUDIENCE."
  type        = map(string)
  nullable    = false
  default     = {}
}

variable "sizes" {
  description = "Size of MLflow's tasks and how many."
  type        = object({ mlflow = object({ cpu = number, memory = number, disk_gb = optional(number, 21), min = number, max = number }) })
  nullable    = false
}

variable "source_database" {
  description = "The production replica, which others own: the secret with its address (postgresql://user:password@host/db), its security group, the key of the secret if not AWS's own."
  type        = object({ secret_arn = string, security_group_id = string, kms_key_arn = optional(string) })
  nullable    = false
}
