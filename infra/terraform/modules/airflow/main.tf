# Airflow on ECS: its four programs, and pools of Celery workers. What a task may do is what its pool may do.

locals {
  programs = {
    api-server    = { command = ["airflow", "api-server", "--host", "0.0.0.0", "--port", "8080", "--proxy-headers"], port = 8080 }
    scheduler     = { command = ["airflow", "scheduler"], before = ["sh", "-c", "airflow db migrate && python -c 'from ml import database, settings; database.migrate(settings.read().database_url)'"] }
    dag-processor = { command = ["airflow", "dag-processor"] }
    triggerer     = { command = ["airflow", "triggerer"] }
  }
  pools = { for name, pool in var.workers : "worker-${name}" => {
    command = ["airflow", "celery", "worker", "--queues", join(",", pool.queues), "--concurrency", tostring(pool.concurrency)]
  } }
  parts = merge(local.programs, local.pools)

  pages = [for problem in var.problems : "store/${problem}/*"]
  programs_rights = {
    api-server    = { read = local.pages, write = [], keep = [] } # pages of runs, shown inside Airflow
    scheduler     = { read = [], write = [], keep = [] }
    dag-processor = { read = [], write = [], keep = [] }
    triggerer     = { read = [], write = [], keep = [] }
  }
  pools_rights = { for name, pool in var.workers : "worker-${name}" => {
    read  = []
    write = [for problem in pool.problems : "store/${problem}/*"]
    keep  = pool.changes_tables ? [] : [for problem in pool.problems : "store/${problem}/tables/*"]
  } }
  rights = merge(local.programs_rights, local.pools_rights)

  environment = merge({
    AIRFLOW__CORE__EXECUTOR                       = "CeleryExecutor"
    AIRFLOW__CORE__AUTH_MANAGER                   = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL       = "${module.route.url}/execution/"
    AIRFLOW__CORE__HOSTNAME_CALLABLE              = "airflow.utils.net.get_host_ip_address"
    AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS       = "airflow.providers.fab.auth_manager.models.db.FABDBManager"
    AIRFLOW__OPERATORS__DEFAULT_QUEUE             = "light"
    AIRFLOW__API__BASE_URL                        = module.route.url
    AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT       = "300"
    AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME = "0.5"
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL      = "1"
    AIRFLOW__LOGGING__BASE_LOG_FOLDER             = "/var/lib/evergreen/logs"
    AIRFLOW__LOGGING__COLORED_CONSOLE_LOG         = "False"
    FORWARDED_ALLOW_IPS                           = "*" # only the load balancer reaches the port
    EVERGREEN_STORE                               = "s3://${var.store.name}/store"
    PGSSLMODE                                     = "require"
  }, var.environment)
}

module "role" {
  source   = "../role"
  for_each = local.rights

  name        = "${var.name}-${each.key}"
  description = "Airflow: ${each.key}"
  bucket_arn  = var.store.arn
  kms_key_arn = var.kms_key_arn
  read        = each.value.read
  write       = each.value.write
  keep        = each.value.keep
}

module "route" {
  source = "../route"

  name        = "${var.name}-airflow"
  host        = "airflow"
  port        = 8080
  health_path = "/api/v2/monitor/health"
  door        = var.door
  vpc_id      = var.network.vpc_id
}

module "service" {
  source   = "../service"
  for_each = local.parts

  name             = "${var.name}-${each.key}"
  part             = startswith(each.key, "worker-") ? "training" : "airflow"
  cluster_arn      = var.cluster_arn
  image            = var.image
  repository       = var.repository
  role_arn         = module.role[each.key].arn
  size             = try(var.workers[trimprefix(each.key, "worker-")].size, var.sizes[each.key])
  network          = var.network
  kms_key_arn      = var.kms_key_arn
  foreign_keys     = var.foreign_keys
  command          = each.value.command
  before           = try(each.value.before, null)
  port             = try(each.value.port, null)
  callers          = { balancer = var.balancer_security_group_id }
  target_group_arn = each.key == "api-server" ? module.route.target_group_arns["all"] : null
  environment      = local.environment
  secrets = merge(var.secrets,
  try(var.workers[trimprefix(each.key, "worker-")].reads_source, false) ? { EVERGREEN_SOURCE_URL = var.source_secret_arn } : {})
  files = {
    file_system_id  = aws_efs_mount_target.logs[0].file_system_id # a task that starts earlier finds no folder
    access_point_id = aws_efs_access_point.logs.id
    path            = "/var/lib/evergreen/logs"
  }
}
