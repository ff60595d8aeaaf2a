# The prediction service twice, blue and green, behind one name. Which image each runs, how many tasks and which share of the
# requests it gets is said outside; models are not rolled out here, both follow the ledger.

module "role" {
  source = "../role"

  name        = "${var.name}-serving"
  description = "Prediction service: reads models, notes what serves"
  bucket_arn  = var.store.arn
  kms_key_arn = var.kms_key_arn
  read        = [for problem in var.problems : "store/${problem}/*"]
  write       = [for problem in var.problems : "store/${problem}/serving.json"]
}

module "route" {
  source = "../route"

  name        = "${var.name}-serve"
  host        = "serving"
  port        = 8000
  health_path = "/health"
  door        = var.door
  vpc_id      = var.network.vpc_id
  shares      = { for colour, one in var.colours : colour => one.share }
}

module "service" {
  source   = "../service"
  for_each = var.colours

  name             = "${var.name}-serving-${each.key}"
  part             = "serving"
  cluster_arn      = var.cluster_arn
  image            = each.value.image
  repository       = var.repository
  role_arn         = module.role.arn
  size             = each.value.size
  network          = var.network
  kms_key_arn      = var.kms_key_arn
  port             = 8000
  callers          = { balancer = var.balancer_security_group_id }
  target_group_arn = module.route.target_group_arns[each.key]
  secrets          = var.secrets
  environment = merge({
    EVERGREEN_STORE           = "s3://${var.store.name}/store"
    EVERGREEN_SERVING_LOG     = "json"
    EVERGREEN_SERVING_WORKERS = tostring(max(1, floor(each.value.size.cpu / 1024)))
    PGSSLMODE                 = "require"
  }, var.environment)
}
