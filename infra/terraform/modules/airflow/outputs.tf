output "roles" {
  description = "Names of the roles, by program or pool."
  value       = { for part, role in module.role : part => role.name }
}

output "scheduler_log_group" {
  description = "Where the scheduler says which runs ended."
  value       = module.service["scheduler"].log_group
}

output "security_group_ids" {
  description = "Groups of the tasks, by program or pool."
  value       = { for part, service in module.service : part => service.security_group_id }
}

output "url" {
  description = "Address of Airflow."
  value       = module.route.url
}
