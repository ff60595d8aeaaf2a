# Airflow, on ECS or on MWAA, and what it may reach of production.

locals {
  evergreen_environment = {
    EVERGREEN_MLFLOW_URL     = module.mlflow.url
    EVERGREEN_SERVING_URL    = module.serving.url
    MLFLOW_TRACKING_URI      = module.mlflow.url
    MLFLOW_TRACKING_USERNAME = "evergreen"
  }
  evergreen_secrets = {
    EVERGREEN_DATABASE_URL   = module.database["evergreen"].url_secret_arn
    EVERGREEN_SERVING_TOKEN  = module.secret["serving-token"].arn
    MLFLOW_TRACKING_PASSWORD = module.secret["mlflow-pipeline"].arn
  }
  foreign_keys = var.source_database.kms_key_arn == null ? [] : [var.source_database.kms_key_arn]

  # who reads production: the pools that say so, or all of MWAA
  readers = local.on_ecs ? {
    for pool, one in var.airflow.workers : "worker-${pool}" => module.airflow[0].security_group_ids["worker-${pool}"] if one.reads_source
  } : { mwaa = module.mwaa[0].security_group_id }
}

module "redis" {
  source = "./modules/redis"
  count  = local.on_ecs ? 1 : 0

  name        = local.full
  network     = local.network
  replicated  = var.protected
  kms_key_arn = module.key.arn
  clients     = { for part, group in module.airflow[0].security_group_ids : part => group if part == "scheduler" || startswith(part, "worker-") }
}

module "airflow" {
  source = "./modules/airflow"
  count  = local.on_ecs ? 1 : 0

  name                       = local.full
  cluster_arn                = aws_ecs_cluster.this.arn
  image                      = local.images["evergreen-airflow"]
  repository                 = "${local.full}/evergreen-airflow"
  network                    = local.network
  door                       = module.balancer.door
  balancer_security_group_id = module.balancer.security_group_id
  store                      = local.store
  kms_key_arn                = module.key.arn
  foreign_keys               = local.foreign_keys
  problems                   = var.problems
  sizes                      = var.airflow.sizes
  workers                    = var.airflow.workers
  source_secret_arn          = var.source_database.secret_arn
  environment                = merge(local.evergreen_environment, var.airflow.environment)
  secrets = merge(local.evergreen_secrets, {
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN = module.database["airflow"].url_secret_arn
    AIRFLOW__CELERY__BROKER_URL         = module.redis[0].url_secret_arn
    AIRFLOW__CORE__FERNET_KEY           = module.secret["airflow-fernet"].arn
    AIRFLOW__API__SECRET_KEY            = module.secret["airflow-api"].arn
    AIRFLOW__API_AUTH__JWT_SECRET       = module.secret["airflow-jwt"].arn
  })
}

module "mwaa" {
  source = "./modules/mwaa"
  count  = local.on_ecs ? 0 : 1

  name              = local.full
  airflow_version   = var.airflow.mwaa_version
  environment_class = var.airflow.mwaa_class
  max_workers       = var.airflow.mwaa_max_workers
  network           = local.network
  store             = local.store
  kms_key_arn       = module.key.arn
  foreign_keys      = local.foreign_keys
  problems          = var.problems
  environment       = merge(local.evergreen_environment, var.airflow.environment)
  secrets           = merge(local.evergreen_secrets, { EVERGREEN_SOURCE_URL = var.source_database.secret_arn })
}

# the replica is not ours: its owners keep the group and the secret, we ask for one rule
resource "aws_vpc_security_group_ingress_rule" "source" {
  for_each = local.readers

  security_group_id            = var.source_database.security_group_id
  description                  = "Evergreen reads production: ${local.full} ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}
