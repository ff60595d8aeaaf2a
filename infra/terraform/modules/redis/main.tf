# The broker between Airflow's scheduler and its Celery workers. Nothing here must survive: Airflow queues anew what is lost.

resource "aws_elasticache_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.network.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${var.name}-redis"
  description = "Redis ${var.name}, for the tasks named by rules"
  vpc_id      = var.network.vpc_id
  tags        = { Name = "${var.name}-redis" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = var.clients

  security_group_id            = aws_security_group.this.id
  description                  = "Redis over TLS from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

# ElastiCache takes no write-only token, so this one value lies in the state, which the backend encrypts. It is worth nothing
# outside of the security groups above.
data "aws_secretsmanager_random_password" "token" {
  password_length     = 64
  exclude_punctuation = true
}

resource "terraform_data" "token" {
  input            = data.aws_secretsmanager_random_password.token.random_password
  triggers_replace = var.token_revision

  lifecycle {
    ignore_changes = [input] # drawn anew at every plan, kept until the revision changes
  }
}

resource "aws_elasticache_replication_group" "this" {
  #checkov:skip=CKV2_AWS_50:`replicated` says so: on in prod, off in dev
  replication_group_id = var.name
  description          = "Celery broker of ${var.name}"
  engine               = "valkey"
  engine_version       = "8.0"
  node_type            = var.node_type
  port                 = 6379

  num_cache_clusters         = var.replicated ? 2 : 1
  automatic_failover_enabled = var.replicated
  multi_az_enabled           = var.replicated

  subnet_group_name  = aws_elasticache_subnet_group.this.name
  security_group_ids = [aws_security_group.this.id]

  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  auth_token                 = terraform_data.token.output
  auth_token_update_strategy = "SET"
}

resource "aws_secretsmanager_secret" "url" {
  #checkov:skip=CKV2_AWS_57:it changes with the password, by revision
  name                    = "${var.name}/broker"
  description             = "Address of the Celery broker, with its token"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.replicated ? 30 : 0
}

resource "aws_secretsmanager_secret_version" "url" {
  secret_id                = aws_secretsmanager_secret.url.id
  secret_string_wo         = "rediss://:${terraform_data.token.output}@${aws_elasticache_replication_group.this.primary_endpoint_address}:6379/0?ssl_cert_reqs=required"
  secret_string_wo_version = var.token_revision
}
