# Evergreen on AWS: what there is, and who may reach what. docs/aws.md has the picture.

data "aws_availability_zones" "this" {
  #checkov:skip=CKV_AWS_394:sorted and cut to the number of zones; an account that gets new ones names them in network
  state = "available"
}

locals {
  full    = "${var.name}-${var.environment}"
  on_ecs  = var.airflow.kind == "ecs"
  network = { vpc_id = module.network.vpc_id, cidr = module.network.cidr, subnet_ids = module.network.subnet_ids }
  store   = { name = module.store.name, arn = module.store.arn }
  images  = { for name, tag in var.images : name => "${module.registry.urls[name]}:${tag}" }

  endpoints = concat(
    ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "sts", "kms"],
    local.on_ecs ? [] : ["sqs", "monitoring", "airflow.api", "airflow.env", "airflow.ops"], # MWAA's own needs
  )
}

module "key" {
  source = "./modules/key"
  name   = local.full
}

module "network" {
  source = "./modules/network"

  name            = local.full
  cidr            = var.network.cidr
  zones           = slice(sort(data.aws_availability_zones.this.names), 0, var.network.zones)
  internet_egress = var.network.internet_egress
  endpoints       = local.endpoints
  kms_key_arn     = module.key.arn
}

module "store" {
  source = "./modules/store"

  name            = "${local.full}-${var.bucket_suffix}"
  kms_key_arn     = module.key.arn
  noncurrent_days = var.noncurrent_days
  force_destroy   = !var.protected
}

module "registry" {
  source = "./modules/registry"

  name         = local.full
  repositories = ["evergreen-airflow", "evergreen-serving"]
  kms_key_arn  = module.key.arn
  force_delete = !var.protected
}

module "balancer" {
  source = "./modules/balancer"

  name            = local.full
  domain          = var.domain
  certificate_arn = var.certificate_arn
  callers         = var.callers
  network         = local.network
  protected       = var.protected
}

resource "aws_ecs_cluster" "this" {
  name = local.full

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

module "mlflow" {
  source = "./modules/mlflow"

  name                       = local.full
  cluster_arn                = aws_ecs_cluster.this.arn
  image                      = local.images["evergreen-airflow"]
  repository                 = "${local.full}/evergreen-airflow"
  size                       = var.sizes.mlflow
  network                    = local.network
  door                       = module.balancer.door
  balancer_security_group_id = module.balancer.security_group_id
  store                      = local.store
  kms_key_arn                = module.key.arn
  secrets = {
    MLFLOW_BACKEND_STORE_URI       = module.database["mlflow"].url_secret_arn
    MLFLOW_AUTH_ADMIN_PASSWORD     = module.secret["mlflow-admin"].arn
    MLFLOW_FLASK_SERVER_SECRET_KEY = module.secret["mlflow-flask"].arn
  }
}

module "serving" {
  source = "./modules/serving"

  name                       = local.full
  cluster_arn                = aws_ecs_cluster.this.arn
  repository                 = "${local.full}/evergreen-serving"
  network                    = local.network
  door                       = module.balancer.door
  balancer_security_group_id = module.balancer.security_group_id
  store                      = local.store
  kms_key_arn                = module.key.arn
  problems                   = var.problems
  environment                = var.serving_environment
  colours = { for colour, one in var.serving : colour => {
    image = "${module.registry.urls["evergreen-serving"]}:${one.tag}", share = one.share, size = one.size
  } }
  secrets = {
    EVERGREEN_DATABASE_URL  = module.database["evergreen"].url_secret_arn
    EVERGREEN_SERVING_TOKEN = module.secret["serving-token"].arn
  }
}

module "alarms" {
  source = "./modules/alarms"

  name                = local.full
  mail                = var.mail
  problems            = var.problems
  balancer            = module.balancer.arn_suffix
  databases           = [for database in module.database : database.identifier]
  scheduler_log_group = local.on_ecs ? module.airflow[0].scheduler_log_group : module.mwaa[0].scheduler_log_group
  kms_key_arn         = module.key.arn
}

module "budget" {
  source = "./modules/budget"

  name        = local.full
  environment = var.environment
  monthly_usd = var.monthly_usd
  topic_arn   = module.alarms.topic_arn
}
