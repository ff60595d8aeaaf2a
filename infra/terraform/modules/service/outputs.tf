# nothing here waits for the service itself: rules of databases must be there before its tasks start

output "log_group" {
  description = "Log group of the containers."
  value       = aws_cloudwatch_log_group.this.name
}

output "security_group_id" {
  description = "Group of the tasks, for the rules of what they connect to."
  value       = aws_security_group.this.id
}
