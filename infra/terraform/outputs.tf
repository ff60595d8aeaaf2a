output "bucket" {
  description = "The store."
  value       = module.store.name
}

output "balancer_dns_name" {
  description = "Where a DNS of your own should lead airflow, mlflow and serving."
  value       = module.balancer.dns_name
}

output "cluster" {
  description = "ECS cluster, for commands by hand."
  value       = aws_ecs_cluster.this.name
}

output "command" {
  description = "Task definition for commands by hand, such as making the first users."
  value       = local.on_ecs ? "${local.full}-scheduler" : null
}

output "repositories" {
  description = "Where images are pushed."
  value       = module.registry.urls
}

output "roles" {
  description = "Names of the roles that programs have."
  value = merge(
    local.on_ecs ? module.airflow[0].roles : { mwaa = module.mwaa[0].role },
    { mlflow = module.mlflow.role, serving = module.serving.role },
  )
}

output "route_table_ids" {
  description = "Where a route to the network of the production replica belongs."
  value       = module.network.route_table_ids
}

output "urls" {
  description = "Addresses for people and clients."
  value = {
    airflow = local.on_ecs ? module.airflow[0].url : module.mwaa[0].url
    mlflow  = module.mlflow.url
    serving = module.serving.url
  }
}
