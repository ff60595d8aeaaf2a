output "identifier" {
  description = "Name of the instance, for alarms."
  value       = aws_db_instance.this.identifier
}

output "security_group_id" {
  description = "Group of the instance."
  value       = aws_security_group.this.id
}

output "url_secret_arn" {
  description = "Secret with the address and the password."
  value       = aws_secretsmanager_secret_version.url.arn
}
