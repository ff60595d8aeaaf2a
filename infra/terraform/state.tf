# What is remembered: databases by purpose, and secrets that AWS draws.

locals {
  airflow_groups = local.on_ecs ? module.airflow[0].security_group_ids : { mwaa = module.mwaa[0].security_group_id }

  # MWAA has a database of its own
  databases = merge(
    { evergreen = "postgresql", mlflow = "postgresql+psycopg2" },
    local.on_ecs ? { airflow = "postgresql+psycopg2" } : {},
  )
  clients = {
    evergreen = merge(local.airflow_groups, module.serving.security_group_ids)
    mlflow    = { mlflow = module.mlflow.security_group_id }
    airflow   = local.airflow_groups
  }

  secrets = merge(
    { for name in keys(local.databases) : "${name}-password" => "Owner of the database ${name}" },
    {
      serving-token   = "What a deployment shows the prediction service"
      mlflow-admin    = "Administrator of MLflow"
      mlflow-flask    = "Signs MLflow's forms"
      mlflow-pipeline = "User evergreen of MLflow, which the pipeline is"
    },
    local.on_ecs ? {
      airflow-fernet = "Encrypts Airflow's connections and variables"
      airflow-api    = "Signs Airflow's sessions"
      airflow-jwt    = "Signs what Airflow's programs say to each other"
    } : {},
  )
}

module "database" {
  source   = "./modules/database"
  for_each = local.databases

  name           = "${local.full}-${each.key}"
  database       = each.key
  password       = module.secret["${each.key}-password"].value
  scheme         = each.value
  clients        = local.clients[each.key]
  network        = local.network
  instance_class = var.database.instance_class
  storage_gb     = var.database.storage_gb
  backup_days    = var.database.backup_days
  protected      = var.protected
  kms_key_arn    = module.key.arn
}

module "secret" {
  source   = "./modules/secret"
  for_each = local.secrets

  name          = "${local.full}/${each.key}"
  description   = each.value
  fernet        = each.key == "airflow-fernet"
  kms_key_arn   = module.key.arn
  recovery_days = var.protected ? 30 : 0
  revision      = 1
}
