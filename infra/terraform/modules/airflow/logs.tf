# Logs of tasks: written by workers, shown by the API server, alive when a worker is not.

resource "aws_efs_file_system" "logs" {
  encrypted  = true
  kms_key_id = var.kms_key_arn
  tags       = { Name = "${var.name}-task-logs" }

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }
}

resource "aws_efs_access_point" "logs" {
  file_system_id = aws_efs_file_system.logs.id
  tags           = { Name = "${var.name}-task-logs" }

  posix_user {
    uid = 10001
    gid = 10001
  }

  root_directory {
    path = "/logs"

    creation_info {
      owner_uid   = 10001
      owner_gid   = 10001
      permissions = "0750"
    }
  }
}

resource "aws_efs_mount_target" "logs" {
  count = length(var.network.subnet_ids)

  file_system_id  = aws_efs_file_system.logs.id
  subnet_id       = var.network.subnet_ids[count.index]
  security_groups = [aws_security_group.logs.id]
}

resource "aws_security_group" "logs" {
  name        = "${var.name}-task-logs"
  description = "Task logs on EFS, for Airflow's containers"
  vpc_id      = var.network.vpc_id
  tags        = { Name = "${var.name}-task-logs" }
}

resource "aws_vpc_security_group_ingress_rule" "logs" {
  for_each = local.parts

  security_group_id            = aws_security_group.logs.id
  description                  = "NFS from ${each.key}"
  referenced_security_group_id = module.service[each.key].security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}
