output "topic_arn" {
  description = "Where alarms go; other receivers subscribe here."
  value       = aws_sns_topic.this.arn
}
