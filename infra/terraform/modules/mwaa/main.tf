# Airflow as AWS runs it. One role for every task, so problems are not kept apart here as they are on ECS.

data "aws_caller_identity" "this" {}
data "aws_region" "this" {}

locals {
  account = data.aws_caller_identity.this.account_id
  region  = data.aws_region.this.name
  folder  = "mwaa" # of the bucket: the release uploads dags/, plugins.zip and requirements.txt below it
}

module "role" {
  source = "../role"

  name        = "${var.name}-mwaa"
  description = "Airflow on MWAA: every task"
  service     = ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]
  bucket_arn  = var.store.arn
  kms_key_arn = var.kms_key_arn
  read        = ["${local.folder}/*"]
  write       = [for problem in var.problems : "store/${problem}/*"]
}

resource "aws_iam_role_policy" "environment" {
  name = "environment"
  role = module.role.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["airflow:PublishMetrics"]
        Resource = ["arn:*:airflow:${local.region}:${local.account}:environment/${var.name}"]
      },
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:CreateLogGroup", "logs:PutLogEvents", "logs:GetLogEvents", "logs:GetLogRecord", "logs:GetLogGroupFields", "logs:GetQueryResults"]
        Resource = ["arn:*:logs:${local.region}:${local.account}:log-group:airflow-${var.name}-*"]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetBucketPublicAccessBlock", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration"]
        Resource = [var.store.arn]
      },
      {
        Effect    = "Allow" # has no resource to name
        Action    = ["cloudwatch:PutMetricData", "logs:DescribeLogGroups", "s3:GetAccountPublicAccessBlock"]
        Resource  = ["*"]
        Condition = { StringEquals = { "aws:ResourceAccount" = local.account } }
      },
      {
        Effect   = "Allow" # the queue of MWAA's own Celery, in an account of AWS
        Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:SendMessage"]
        Resource = ["arn:*:sqs:${local.region}:*:airflow-celery-*"]
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:Encrypt"]
        Resource  = concat([var.kms_key_arn], var.foreign_keys)
        Condition = { StringLike = { "kms:ViaService" = ["sqs.${local.region}.amazonaws.com", "secretsmanager.${local.region}.amazonaws.com"] } }
      },
      {
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = values(var.secrets)
      },
    ]
  })
}

resource "aws_s3_object" "start" {
  bucket     = var.store.name
  key        = "${local.folder}/startup.sh"
  kms_key_id = var.kms_key_arn
  content = templatefile("${path.module}/startup.sh.tftpl", {
    environment = merge({ EVERGREEN_STORE = "s3://${var.store.name}/store", PGSSLMODE = "require" }, var.environment)
    secrets     = var.secrets
  })
}

resource "aws_security_group" "this" {
  name        = "${var.name}-mwaa"
  description = "Airflow on MWAA"
  vpc_id      = var.network.vpc_id
  tags        = { Name = "${var.name}-mwaa" }
}

resource "aws_vpc_security_group_ingress_rule" "itself" {
  for_each = toset(["443", "5432"])

  security_group_id            = aws_security_group.this.id
  description                  = "Airflow's programs among themselves"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
}

resource "aws_vpc_security_group_egress_rule" "inside" {
  security_group_id = aws_security_group.this.id
  description       = "Databases and services inside; their own groups say who may"
  cidr_ipv4         = var.network.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 5432
}

#trivy:ignore:AWS-0104 the network has no route to anywhere but S3, unless internet_egress gives it one
resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "S3 through its gateway; more only where the network has a way out"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_mwaa_environment" "this" {
  name                   = var.name
  airflow_version        = var.airflow_version
  environment_class      = var.environment_class
  min_workers            = 1
  max_workers            = var.max_workers
  execution_role_arn     = module.role.arn
  kms_key                = var.kms_key_arn
  webserver_access_mode  = "PRIVATE_ONLY"
  source_bucket_arn      = var.store.arn
  dag_s3_path            = "${local.folder}/dags"
  plugins_s3_path        = "${local.folder}/plugins.zip"
  requirements_s3_path   = "${local.folder}/requirements.txt"
  startup_script_s3_path = aws_s3_object.start.key

  startup_script_s3_object_version = aws_s3_object.start.version_id

  airflow_configuration_options = {
    "workers.min_heartbeat_interval" = "1"
    "scheduler.task_queued_timeout"  = "300"
  }

  logging_configuration {
    dag_processing_logs {
      enabled   = true
      log_level = "INFO"
    }
    scheduler_logs {
      enabled   = true
      log_level = "INFO"
    }
    task_logs {
      enabled   = true
      log_level = "INFO"
    }
    webserver_logs {
      enabled   = true
      log_level = "INFO"
    }
    worker_logs {
      enabled   = true
      log_level = "INFO"
    }
  }

  network_configuration {
    security_group_ids = [aws_security_group.this.id]
    subnet_ids         = slice(var.network.subnet_ids, 0, 2)
  }

  depends_on = [aws_iam_role_policy.environment]
}
