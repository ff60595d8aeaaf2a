output "target_group_arns" {
  description = "Target group of each group of tasks; the listener knows it."
  value       = { for key, group in aws_lb_target_group.this : key => group.arn }
  depends_on  = [aws_lb_listener_rule.this]
}

output "target_group_names" {
  description = "How CloudWatch names each target group."
  value       = { for key, group in aws_lb_target_group.this : key => group.arn_suffix }
}

output "url" {
  description = "Address of the service."
  value       = "https://${local.host}"
}
