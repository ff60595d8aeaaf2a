output "security_group_id" {
  description = "Group of the broker."
  value       = aws_security_group.this.id
}

output "url_secret_arn" {
  description = "Secret with the broker's address and token."
  value       = aws_secretsmanager_secret_version.url.arn
}
