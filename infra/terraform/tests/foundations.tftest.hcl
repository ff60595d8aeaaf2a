# Network, key, store, registry: what no other part can make good if they are wrong. No account is asked.
mock_provider "aws" {
  source = "./tests/mocks"
}

run "network_has_no_way_out_by_default" {
  module { source = "./modules/network" }
  variables {
    name            = "evergreen-test"
    cidr            = "10.20.0.0/16"
    zones           = ["a", "b"]
    endpoints       = ["logs", "sts"]
    internet_egress = false
    kms_key_arn     = "arn:aws:kms:eu-central-1:000000000000:key/1"
  }
  assert {
    condition     = length(aws_internet_gateway.this) + length(aws_nat_gateway.this) + length(aws_subnet.public) + length(aws_route.nat) == 0
    error_message = "without internet_egress there is a way out"
  }
  assert {
    condition     = length(aws_subnet.private) == 2 && alltrue([for one in aws_subnet.private : one.map_public_ip_on_launch != true])
    error_message = "every zone has one private subnet, and it gives no public address"
  }
  assert {
    condition     = toset(keys(aws_vpc_endpoint.service)) == toset(["logs", "sts"]) && aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "the endpoints are not those asked for"
  }
  assert {
    condition     = length(aws_default_security_group.closed.ingress) + length(aws_default_security_group.closed.egress) == 0
    error_message = "the default security group lets something through"
  }
}

run "network_has_a_gateway_per_zone_when_asked" {
  module { source = "./modules/network" }
  variables {
    name            = "evergreen-test"
    cidr            = "10.20.0.0/16"
    zones           = ["a", "b"]
    endpoints       = []
    internet_egress = true
    kms_key_arn     = "arn:aws:kms:eu-central-1:000000000000:key/1"
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 2
    error_message = "a zone has no NAT gateway of its own"
  }
}

run "network_rejects_one_zone_and_small_ranges" {
  command = plan
  module { source = "./modules/network" }
  variables {
    name            = "evergreen-test"
    cidr            = "10.20.0.0/24"
    zones           = ["a"]
    endpoints       = []
    internet_egress = false
    kms_key_arn     = "arn:aws:kms:eu-central-1:000000000000:key/1"
  }
  expect_failures = [var.cidr, var.zones]
}

run "key_rotates" {
  module { source = "./modules/key" }
  variables { name = "evergreen-test" }
  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "the key must rotate, and its deletion take a month"
  }
}

run "store_is_private_versioned_encrypted" {
  module { source = "./modules/store" }
  variables {
    name        = "evergreen-test"
    kms_key_arn = "arn:aws:kms:eu-central-1:000000000000:key/1"
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "the bucket can be made public"
  }
  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled" && !aws_s3_bucket.this.force_destroy
    error_message = "what is overwritten or destroyed is lost"
  }
  assert {
    condition     = [for one in jsondecode(aws_s3_bucket_policy.this.policy).Statement : [one.Effect, one.Condition] if one.Sid == "OnlyByTls"] == [["Deny", { Bool = { "aws:SecureTransport" = "false" } }]]
    error_message = "the bucket answers without TLS"
  }
  assert {
    condition     = [for one in jsondecode(aws_s3_bucket_policy.this.policy).Statement : [one.Effect, one.Condition.Null, one.Condition.StringNotEquals] if one.Sid == "OnlyWithOurKey"] == [["Deny", { "s3:x-amz-server-side-encryption-aws-kms-key-id" = "false" }, { "s3:x-amz-server-side-encryption-aws-kms-key-id" = "arn:aws:kms:eu-central-1:000000000000:key/1" }]]
    error_message = "another key is taken, or an upload that names none is refused"
  }
}

run "store_rejects_a_name_that_s3_does_not_take" {
  command = plan
  module { source = "./modules/store" }
  variables {
    name        = "Evergreen"
    kms_key_arn = "arn:aws:kms:eu-central-1:000000000000:key/1"
  }
  expect_failures = [var.name]
}

run "registry_keeps_names_where_they_are" {
  module { source = "./modules/registry" }
  variables {
    name         = "evergreen-test"
    repositories = ["one"]
    kms_key_arn  = "arn:aws:kms:eu-central-1:000000000000:key/1"
  }
  assert {
    condition     = aws_ecr_repository.this["one"].image_tag_mutability == "IMMUTABLE" && aws_ecr_repository.this["one"].image_scanning_configuration[0].scan_on_push
    error_message = "a tag can be moved, or images are not scanned"
  }
}
