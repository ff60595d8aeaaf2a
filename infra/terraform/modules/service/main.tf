# A container that ECS keeps running on Fargate: without root, on a read-only disk, with no rights but those it is given.

data "aws_region" "this" {}

locals {
  scratch = "/var/lib/evergreen" # the one folder that our images write to

  # a Fargate volume belongs to whom the image says, because the Dockerfile names it as VOLUME
  mounts = concat(
    [{ sourceVolume = "scratch", containerPath = local.scratch, readOnly = false }],
    var.files == null ? [] : [{ sourceVolume = "files", containerPath = var.files.path, readOnly = false }],
  )

  container = {
    image                  = var.image
    user                   = "10001"
    readonlyRootFilesystem = true
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    mountPoints            = local.mounts
    environment = [for key, value in merge(var.environment, { TMPDIR = local.scratch, AWS_REGION = data.aws_region.this.name }) :
    { name = key, value = value }]
    secrets = [for key, arn in var.secrets : { name = key, valueFrom = arn }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.this.name
        awslogs-stream-prefix = "task"
      }
    }
  }

  containers = concat(
    [merge(local.container, {
      name         = "main"
      command      = var.command
      essential    = true
      stopTimeout  = 120 # what is under way ends, and logged rows reach the database
      portMappings = var.port == null ? [] : [{ containerPort = var.port, protocol = "tcp" }]
      dependsOn    = var.before == null ? [] : [{ containerName = "before", condition = "SUCCESS" }]
    })],
    var.before == null ? [] : [merge(local.container, { name = "before", command = var.before, essential = false })],
  )
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.size.cpu
  memory                   = var.size.memory
  execution_role_arn       = aws_iam_role.start.arn
  task_role_arn            = var.role_arn
  container_definitions    = jsonencode(local.containers)

  ephemeral_storage {
    size_in_gib = var.size.disk_gb
  }

  volume {
    name = "scratch"
  }

  dynamic "volume" {
    for_each = var.files == null ? [] : [var.files]

    content {
      name = "files"

      efs_volume_configuration {
        file_system_id     = volume.value.file_system_id
        transit_encryption = "ENABLED"

        authorization_config {
          access_point_id = volume.value.access_point_id
          iam             = "DISABLED" # the group of the mount targets and the access point decide
        }
      }
    }
  }
}

resource "aws_ecs_service" "this" {
  name            = var.name
  cluster         = var.cluster_arn
  task_definition = aws_ecs_task_definition.this.arn
  desired_count   = var.size.min
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"
  tags            = { part = var.part } # what the budget counts by

  enable_ecs_managed_tags            = true
  deployment_minimum_healthy_percent = var.alone ? 0 : 100
  deployment_maximum_percent         = var.alone ? 100 : 200
  health_check_grace_period_seconds  = var.target_group_arn == null ? null : 120

  network_configuration {
    subnets          = var.network.subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "load_balancer" {
    for_each = var.target_group_arn == null ? [] : [var.target_group_arn]

    content {
      target_group_arn = load_balancer.value
      container_name   = "main"
      container_port   = var.port
    }
  }

  lifecycle {
    ignore_changes = [desired_count] # scaling.tf decides
  }
}
