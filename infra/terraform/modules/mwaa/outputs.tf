output "role" {
  description = "Name of the role of every task."
  value       = module.role.name
}

output "scheduler_log_group" {
  description = "Where the scheduler says which runs ended; MWAA makes it."
  value       = "airflow-${aws_mwaa_environment.this.name}-Scheduler"
}

output "security_group_id" {
  description = "Group of Airflow's programs."
  value       = aws_security_group.this.id
}

output "url" {
  description = "Address of Airflow, known inside the network only."
  value       = "https://${aws_mwaa_environment.this.webserver_url}"
}
