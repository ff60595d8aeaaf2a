output "role" {
  description = "Name of MLflow's role."
  value       = module.role.name
}

output "security_group_id" {
  description = "Group of the tasks."
  value       = module.service.security_group_id
}

output "url" {
  description = "Address of MLflow."
  value       = module.route.url
}
