# A host name of the door, and the groups of tasks that answer it, each with its share of the requests.

locals {
  host = "${var.host}.${var.door.domain}"
}

resource "aws_lb_target_group" "this" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; behind it only its security group reaches the port
  for_each = var.shares

  name                 = "${var.name}-${each.key}"
  vpc_id               = var.vpc_id
  port                 = var.port
  protocol             = "HTTP"
  target_type          = "ip"
  deregistration_delay = 60

  health_check {
    path                = var.health_path
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener_rule" "this" {
  listener_arn = var.door.listener_arn

  condition {
    host_header {
      values = [local.host]
    }
  }

  action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = var.shares

        content {
          arn    = aws_lb_target_group.this[target_group.key].arn
          weight = target_group.value
        }
      }
    }
  }
}

resource "aws_route53_record" "this" {
  zone_id = var.door.zone_id
  name    = local.host
  type    = "A"

  alias {
    name                   = var.door.dns_name
    zone_id                = var.door.dns_zone_id
    evaluate_target_health = false
  }
}
