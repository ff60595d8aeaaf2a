variable "alone" {
  description = "Whether the old task must end before the new one begins."
  type        = bool
  nullable    = false
  default     = false
}

variable "before" {
  description = "Command that must succeed in the same image before the container starts, such as a migration."
  type        = list(string)
  default     = null
}

variable "callers" {
  description = "Security groups that may reach the port, by a name of theirs."
  type        = map(string)
  nullable    = false
  default     = {}
}

variable "cluster_arn" {
  description = "ECS cluster."
  type        = string
  nullable    = false
}

variable "command" {
  description = "What the container runs; null runs what the image says."
  type        = list(string)
  default     = null
}

variable "environment" {
  description = "Settings that everybody may read."
  type        = map(string)
  nullable    = false
  default     = {}
}

variable "files" {
  description = "A folder on EFS that tasks share: file system, access point and where it is mounted."
  type        = object({ file_system_id = string, access_point_id = string, path = string })
  default     = null
}

variable "foreign_keys" {
  description = "Keys other than ours that encrypt some of the secrets."
  type        = list(string)
  nullable    = false
  default     = []
}

variable "image" {
  description = "The image, by digest or by a tag that cannot move."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_.-]+)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "image must end with a digest or a tag other than latest. Received: ${var.image}."
  }
}

variable "kms_key_arn" {
  description = "Key of the logs and the secrets."
  type        = string
  nullable    = false
}

variable "name" {
  description = "Name of the service, its log group and its security group."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,57}$", var.name))
    error_message = "name must be at most 58 characters of a-z, 0-9 and '-'. Received: ${var.name}."
  }
}

variable "network" {
  description = "Where it runs: the VPC, its addresses and its private subnets."
  type        = object({ vpc_id = string, cidr = string, subnet_ids = list(string) })
  nullable    = false
}

variable "part" {
  description = "Tag that costs are counted by: training, serving, airflow or mlflow."
  type        = string
  nullable    = false
}

variable "port" {
  description = "Port on which the container listens; null if nobody calls it."
  type        = number
  default     = null
}

variable "repository" {
  description = "ECR repository of the image, for the right to pull it; may hold '*'."
  type        = string
  nullable    = false
}

variable "role_arn" {
  description = "Role of the program in the container."
  type        = string
  nullable    = false
}

variable "secrets" {
  description = "Settings that are secret, as addresses in Secrets Manager."
  type        = map(string)
  nullable    = false
  default     = {}
}

variable "size" {
  description = "Processor units (1024 are one core), memory in MB and disk in GB of a task, and how many there are; min = max does without autoscaling."
  type        = object({ cpu = number, memory = number, disk_gb = optional(number, 21), min = number, max = number })
  nullable    = false

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.size.cpu)
    error_message = "size.cpu must be one of Fargate's: 256, 512, 1024, 2048, 4096, 8192, 16384. Received: ${var.size.cpu}."
  }

  validation {
    condition     = var.size.min >= 0 && var.size.max >= var.size.min
    error_message = "size.max must not be less than size.min. Received: ${var.size.min} to ${var.size.max}."
  }
}

variable "target_group_arn" {
  description = "Target group of a load balancer that sends requests here."
  type        = string
  default     = null
}
