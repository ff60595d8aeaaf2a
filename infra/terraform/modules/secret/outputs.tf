output "arn" {
  description = "The secret, for policies and task definitions; it has a value."
  value       = aws_secretsmanager_secret_version.this.arn
}

output "value" {
  description = "The value, for write-only arguments."
  value       = ephemeral.aws_secretsmanager_secret_version.this.secret_string
  ephemeral   = true
}
