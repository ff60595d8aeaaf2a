# One PostgreSQL with one database and one user. Its address, password included, is a secret for who connects.

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.network.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "PostgreSQL ${var.name}, for the tasks named by rules"
  vpc_id      = var.network.vpc_id
  tags        = { Name = "${var.name}-database" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = var.clients

  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_parameter_group" "this" {
  name   = var.name
  family = "postgres${var.engine_version}"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_min_duration_statement" # milliseconds; statements are logged when slow, not each with its values
    value = "1000"
  }
}

#trivy:ignore:AWS-0177 `protected` says so: on in prod, off in dev, which may be destroyed
resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_118:Performance Insights says more, without another role
  identifier     = var.name
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class

  db_name             = var.database
  username            = var.database
  password_wo         = var.password
  password_wo_version = var.password_revision

  allocated_storage     = var.storage_gb
  max_allocated_storage = var.storage_gb * 4
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  parameter_group_name   = aws_db_parameter_group.this.name
  publicly_accessible    = false
  multi_az               = var.protected

  iam_database_authentication_enabled = true # people look in with a token of their own, not with this password
  enabled_cloudwatch_logs_exports     = ["postgresql", "upgrade"]
  performance_insights_enabled        = true
  performance_insights_kms_key_id     = var.kms_key_arn

  auto_minor_version_upgrade = true
  backup_retention_period    = var.backup_days
  copy_tags_to_snapshot      = true
  deletion_protection        = var.protected
  skip_final_snapshot        = !var.protected
  final_snapshot_identifier  = var.protected ? "${var.name}-final" : null
}

resource "aws_secretsmanager_secret" "url" {
  #checkov:skip=CKV2_AWS_57:it changes with the password, by revision
  name                    = "${var.name}/url"
  description             = "Address of ${var.database} on ${var.name}, with its password"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.protected ? 30 : 0
}

resource "aws_secretsmanager_secret_version" "url" {
  secret_id                = aws_secretsmanager_secret.url.id
  secret_string_wo         = "${var.scheme}://${var.database}:${var.password}@${aws_db_instance.this.endpoint}/${var.database}"
  secret_string_wo_version = var.password_revision
}
