output "cidr" {
  description = "Addresses of the network."
  value       = aws_vpc.this.cidr_block
}

output "route_table_ids" {
  description = "Route tables of the private subnets, where a route to a peered network belongs."
  value       = [for table in aws_route_table.private : table.id]
}

output "subnet_ids" {
  description = "The private subnets."
  value       = [for subnet in aws_subnet.private : subnet.id]
}

output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}
