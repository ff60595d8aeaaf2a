output "arn" {
  description = "The key."
  value       = aws_kms_key.this.arn
  depends_on  = [aws_kms_alias.this]
}
