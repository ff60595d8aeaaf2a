# MLflow with users and permissions; artifacts go through it, so nobody else needs a right to its part of the bucket.

locals {
  host = "mlflow.${var.door.domain}"
  # MLflow takes its users' database from a file only
  settings = "[mlflow]\\ndefault_permission = NO_PERMISSIONS\\nadmin_username = admin\\nadmin_password = %s\\ndatabase_uri = %s\\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\\n"
  write    = "printf '${local.settings}' \"$MLFLOW_AUTH_ADMIN_PASSWORD\" \"$MLFLOW_BACKEND_STORE_URI\" > \"$MLFLOW_AUTH_CONFIG_PATH\""
}

module "role" {
  source = "../role"

  name        = "${var.name}-mlflow"
  description = "MLflow: its artifacts"
  bucket_arn  = var.store.arn
  kms_key_arn = var.kms_key_arn
  write       = ["mlflow/*"]
}

module "route" {
  source = "../route"

  name        = "${var.name}-mlflow"
  host        = "mlflow"
  port        = 5000
  health_path = "/health"
  door        = var.door
  vpc_id      = var.network.vpc_id
}

module "service" {
  source = "../service"

  name             = "${var.name}-mlflow"
  part             = "mlflow"
  cluster_arn      = var.cluster_arn
  image            = var.image
  repository       = var.repository
  role_arn         = module.role.arn
  size             = var.size
  network          = var.network
  kms_key_arn      = var.kms_key_arn
  port             = 5000
  callers          = { balancer = var.balancer_security_group_id }
  target_group_arn = module.route.target_group_arns["all"]
  secrets          = var.secrets
  command          = ["sh", "-c", "umask 077 && ${local.write} && exec mlflow server --app-name basic-auth --host 0.0.0.0 --port 5000 --workers 2"]
  environment = {
    MLFLOW_ARTIFACTS_DESTINATION           = "s3://${var.store.name}/mlflow"
    MLFLOW_AUTH_CONFIG_PATH                = "/var/lib/evergreen/mlflow_auth.ini"
    MLFLOW_SERVER_ALLOWED_HOSTS            = local.host
    MLFLOW_SERVER_CORS_ALLOWED_ORIGINS     = "https://${local.host}"
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION     = "false"
    MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD = "false" # else clients are sent to the bucket, to which they have no right
    MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD   = "false"
    PGSSLMODE                              = "require"
  }
}
