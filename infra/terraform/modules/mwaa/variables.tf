variable "airflow_version" {
  description = "Version of Airflow, of those that MWAA offers; Evergreen is tested with 3.3."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^3\\.[3-9]", var.airflow_version))
    error_message = "airflow_version must be 3.3 or newer: the DAGs use what 3.3 brought. Received: ${var.airflow_version}."
  }
}

variable "environment" {
  description = "Further settings of Evergreen."
  type        = map(string)
  nullable    = false
  default     = {}
}

variable "environment_class" {
  description = "Size of the machines; training needs the memory."
  type        = string
  nullable    = false
}

variable "foreign_keys" {
  description = "Keys other than ours that encrypt some of the secrets."
  type        = list(string)
  nullable    = false
  default     = []
}

variable "kms_key_arn" {
  description = "Key of the store, the environment and the secrets."
  type        = string
  nullable    = false
}

variable "max_workers" {
  description = "Most workers at once."
  type        = number
  nullable    = false
}

variable "name" {
  description = "Name of the environment."
  type        = string
  nullable    = false
}

variable "network" {
  description = "Where it runs: the VPC, its addresses and its private subnets."
  type        = object({ vpc_id = string, cidr = string, subnet_ids = list(string) })
  nullable    = false
}

variable "problems" {
  description = "Every problem."
  type        = set(string)
  nullable    = false
}

variable "secrets" {
  description = "Secret settings of Evergreen, by name."
  type        = map(string)
  nullable    = false
}

variable "store" {
  description = "The bucket: name and ARN. It also holds the release below mwaa/."
  type        = object({ name = string, arn = string })
  nullable    = false
}
