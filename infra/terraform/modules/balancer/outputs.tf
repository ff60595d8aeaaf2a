output "arn_suffix" {
  description = "How CloudWatch names the load balancer."
  value       = aws_lb.this.arn_suffix
}

output "door" {
  description = "What a route needs: listener, name and zone of the load balancer, DNS zone, domain."
  value = {
    listener_arn = aws_lb_listener.this.arn
    dns_name     = aws_lb.this.dns_name
    dns_zone_id  = aws_lb.this.zone_id
    zone_id      = aws_route53_zone.this.zone_id
    domain       = var.domain
  }
}

output "dns_name" {
  description = "Name of the load balancer, for records in a DNS of your own."
  value       = aws_lb.this.dns_name
}

output "security_group_id" {
  description = "Group of the load balancer, for the rules of the services behind it."
  value       = aws_security_group.this.id
}
