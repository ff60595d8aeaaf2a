variable "balancer_security_group_id" {
  description = "Group of the load balancer."
  type        = string
  nullable    = false
}

variable "cluster_arn" {
  description = "ECS cluster."
  type        = string
  nullable    = false
}

variable "door" {
  description = "The load balancer: output `door` of the module balancer."
  type        = object({ listener_arn = string, dns_name = string, dns_zone_id = string, zone_id = string, domain = string })
  nullable    = false
}

variable "environment" {
  description = "Further settings of Airflow and Evergreen."
  type        = map(string)
  nullable    = false
  default     = {}
}

variable "foreign_keys" {
  description = "Keys other than ours that encrypt some of the secrets."
  type        = list(string)
  nullable    = false
  default     = []
}

variable "image" {
  description = "Image with Airflow, the DAGs and the stages."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key of the store, the logs and the secrets."
  type        = string
  nullable    = false
}

variable "name" {
  description = "How names begin."
  type        = string
  nullable    = false
}

variable "network" {
  description = "Where it runs: the VPC, its addresses and its private subnets."
  type        = object({ vpc_id = string, cidr = string, subnet_ids = list(string) })
  nullable    = false
}

variable "problems" {
  description = "Every problem; the pages of all are shown in Airflow."
  type        = set(string)
  nullable    = false
}

variable "repository" {
  description = "ECR repository of the image."
  type        = string
  nullable    = false
}

variable "secrets" {
  description = "Secret settings of Airflow and Evergreen, without that of the production database."
  type        = map(string)
  nullable    = false
}

variable "sizes" {
  description = "Size of each of Airflow's programs; see the module service."
  type        = map(object({ cpu = number, memory = number, disk_gb = optional(number, 21), min = number, max = number }))
  nullable    = false

  validation {
    condition     = toset(keys(var.sizes)) == toset(["api-server", "dag-processor", "scheduler", "triggerer"])
    error_message = "sizes must be given for api-server, dag-processor, scheduler, triggerer. Received: ${join(", ", keys(var.sizes))}."
  }
}

variable "source_secret_arn" {
  description = "Secret with the address of the production database, for pools that read it."
  type        = string
  nullable    = false
}

variable "store" {
  description = "The bucket: name and ARN."
  type        = object({ name = string, arn = string })
  nullable    = false
}

variable "workers" {
  description = "Pools of Celery workers: the queues they serve, the problems whose part of the store they may touch, whether they change tables (ingest, feedback, housekeeping) and read production, tasks at once, size."
  type = map(object({
    queues         = list(string)
    problems       = set(string)
    changes_tables = bool
    reads_source   = bool
    concurrency    = number
    size           = object({ cpu = number, memory = number, disk_gb = optional(number, 21), min = number, max = number })
  }))
  nullable = false

  validation {
    condition     = length(distinct(flatten([for pool in var.workers : pool.queues]))) == length(flatten([for pool in var.workers : pool.queues]))
    error_message = "workers must not share a queue: a task would run with one pool's rights or the other's, by chance."
  }
}
