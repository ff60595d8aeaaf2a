output "arn" {
  description = "The bucket, for policies."
  value       = aws_s3_bucket.this.arn
}

output "name" {
  description = "The bucket, for addresses."
  value       = aws_s3_bucket.this.bucket
}
