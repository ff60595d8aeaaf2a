# The one door: TLS, inside the network, by host name. What no rule knows is answered with 404.

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_91:access logs cannot be written with our key; the services log requests themselves
  #checkov:skip=CKV_AWS_150:`protected` says so: on in prod, off in dev, which may be destroyed
  name                       = var.name
  internal                   = true
  load_balancer_type         = "application"
  subnets                    = var.network.subnet_ids
  security_groups            = [aws_security_group.this.id]
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.protected
  idle_timeout               = 120
}

resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "No service of that name."
      status_code  = "404"
    }
  }
}

resource "aws_security_group" "this" {
  name        = "${var.name}-door"
  description = "HTTPS to ${var.name}"
  vpc_id      = var.network.vpc_id
  tags        = { Name = "${var.name}-door" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = setunion(var.callers, [var.network.cidr])

  security_group_id = aws_security_group.this.id
  description       = "HTTPS from ${each.key}"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "this" {
  security_group_id = aws_security_group.this.id
  description       = "Services behind it"
  cidr_ipv4         = var.network.cidr
  ip_protocol       = "tcp"
  from_port         = 5000
  to_port           = 8080
}

resource "aws_route53_zone" "this" {
  name    = var.domain
  comment = "Names of ${var.name}, known inside the network only"

  vpc {
    vpc_id = var.network.vpc_id
  }
}
