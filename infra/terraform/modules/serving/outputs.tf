output "role" {
  description = "Name of the service's role."
  value       = module.role.name
}

output "security_group_ids" {
  description = "Groups of the tasks, by colour."
  value       = { for colour, service in module.service : "serving-${colour}" => service.security_group_id }
}

output "target_group_names" {
  description = "How CloudWatch names the target groups, by colour."
  value       = module.route.target_group_names
}

output "url" {
  description = "Address of the service."
  value       = module.route.url
}
