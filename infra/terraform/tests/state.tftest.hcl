# Databases, broker, roles. Terraform's mocks know no ephemeral values, so the module secret is tested by a real apply only.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  kms_key_arn = "arn:aws:kms:eu-central-1:000000000000:key/1"
  network     = { vpc_id = "vpc-1", cidr = "10.20.0.0/16", subnet_ids = ["subnet-1", "subnet-2"] }
}

run "database_is_closed_and_kept" {
  module { source = "./modules/database" }
  variables {
    name           = "evergreen-test"
    database       = "evergreen"
    password       = "drawn-by-nobody"
    instance_class = "db.t4g.small"
    clients        = { worker = "sg-1" }
    protected      = true
  }
  assert {
    condition     = !aws_db_instance.this.publicly_accessible && aws_db_instance.this.storage_encrypted
    error_message = "the database is public or in plain"
  }
  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot
    error_message = "a protected database can be lost"
  }
  assert {
    condition     = [for one in aws_db_parameter_group.this.parameter : one.value if one.name == "rds.force_ssl"] == ["1"]
    error_message = "connections without TLS are taken"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.this) == 1 && aws_vpc_security_group_ingress_rule.this["worker"].cidr_ipv4 == null
    error_message = "somebody other than the clients may connect"
  }
}

run "redis_speaks_tls_with_a_token" {
  module { source = "./modules/redis" }
  variables {
    name       = "evergreen-test"
    clients    = { worker = "sg-1" }
    replicated = true
  }
  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_enabled && tobool(aws_elasticache_replication_group.this.at_rest_encryption_enabled) && aws_elasticache_replication_group.this.automatic_failover_enabled
    error_message = "the broker is in plain, or alone"
  }
}

run "role_writes_its_prefix_and_keeps_tables" {
  module { source = "./modules/role" }
  variables {
    name        = "evergreen-test-train"
    description = "test"
    bucket_arn  = "arn:aws:s3:::bucket"
    write       = ["store/flights/*"]
    keep        = ["store/flights/tables/*"]
  }
  assert {
    condition     = { for one in jsondecode(aws_iam_role_policy.this.policy).Statement : one.Sid => one.Resource if one.Sid != "Key" } == { List = ["arn:aws:s3:::bucket"], Read = ["arn:aws:s3:::bucket/store/flights/*"], Write = ["arn:aws:s3:::bucket/store/flights/*"], Keep = ["arn:aws:s3:::bucket/store/flights/tables/*"] }
    error_message = "the role reaches more than its prefix: ${aws_iam_role_policy.this.policy}"
  }
}

run "role_rejects_the_whole_store" {
  command = plan
  module { source = "./modules/role" }
  variables {
    name        = "evergreen-test-train"
    description = "test"
    bucket_arn  = "arn:aws:s3:::bucket"
    read        = ["*"]
  }
  expect_failures = [var.read]
}
