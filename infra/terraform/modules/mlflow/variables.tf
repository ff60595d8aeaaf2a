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

variable "image" {
  description = "Image that holds MLflow: the one of Airflow."
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

variable "repository" {
  description = "ECR repository of the image."
  type        = string
  nullable    = false
}

variable "secrets" {
  description = "Secret settings: MLFLOW_BACKEND_STORE_URI, MLFLOW_AUTH_ADMIN_PASSWORD, MLFLOW_FLASK_SERVER_SECRET_KEY."
  type        = map(string)
  nullable    = false
}

variable "size" {
  description = "Size of a task and how many there are; see the module service."
  type        = object({ cpu = number, memory = number, disk_gb = optional(number, 21), min = number, max = number })
  nullable    = false
}

variable "store" {
  description = "The bucket: name and ARN."
  type        = object({ name = string, arn = string })
  nullable    = false
}
