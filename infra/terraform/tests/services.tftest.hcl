# Containers, the door before them, Airflow both ways, alarms, budgets.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                       = "evergreen-test"
  kms_key_arn                = "arn:aws:kms:eu-central-1:000000000000:key/1"
  cluster_arn                = "arn:aws:ecs:eu-central-1:000000000000:cluster/evergreen-test"
  network                    = { vpc_id = "vpc-1", cidr = "10.20.0.0/16", subnet_ids = ["subnet-1", "subnet-2"] }
  store                      = { name = "bucket", arn = "arn:aws:s3:::bucket" }
  repository                 = "evergreen-test/image"
  image                      = "000000000000.dkr.ecr.eu-central-1.amazonaws.com/evergreen-test/image:1"
  balancer_security_group_id = "sg-9"
  door                       = { listener_arn = "arn:aws:elasticloadbalancing:eu-central-1:000000000000:listener/app/a/1/2", dns_name = "a", dns_zone_id = "Z1", zone_id = "Z2", domain = "example.com" }
  problems                   = ["flights", "complaints"]
  secrets                    = { EVERGREEN_DATABASE_URL = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:url" }
}

run "service_has_no_rights_it_does_not_need" {
  module { source = "./modules/service" }
  variables {
    part     = "test"
    role_arn = "arn:aws:iam::000000000000:role/r"
    size     = { cpu = 256, memory = 512, min = 1, max = 3 }
    port     = 8000
    callers  = { balancer = "sg-9" }
  }
  assert {
    condition     = alltrue([for one in jsondecode(aws_ecs_task_definition.this.container_definitions) : one.readonlyRootFilesystem && one.user == "10001" && one.linuxParameters.capabilities.drop == ["ALL"]])
    error_message = "a container runs as root, may write to its image or has capabilities"
  }
  assert {
    condition     = !aws_ecs_service.this.network_configuration[0].assign_public_ip && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "a task is public, or a broken image stays"
  }
  assert {
    condition     = [for one in jsondecode(aws_iam_role_policy.start.policy).Statement : one.Resource if one.Sid == "Secrets"] == [["arn:aws:secretsmanager:eu-central-1:000000000000:secret:url"]]
    error_message = "the start may read other secrets than the container's"
  }
  assert {
    condition     = aws_appautoscaling_target.this.min_capacity == 1 && aws_appautoscaling_target.this.max_capacity == 3 && length(aws_appautoscaling_policy.this) == 1
    error_message = "the service does not grow with its load"
  }
}

run "service_rejects_latest" {
  command = plan
  module { source = "./modules/service" }
  variables {
    image    = "image:latest"
    part     = "test"
    role_arn = "arn:aws:iam::000000000000:role/r"
    size     = { cpu = 300, memory = 512, min = 1, max = 1 }
  }
  expect_failures = [var.image, var.size]
}

run "balancer_is_inside_and_speaks_tls" {
  module { source = "./modules/balancer" }
  variables {
    domain          = "example.com"
    certificate_arn = "arn:aws:acm:eu-central-1:000000000000:certificate/1"
    callers         = ["10.1.0.0/16"]
    protected       = true
  }
  assert {
    condition     = aws_lb.this.internal && aws_lb_listener.this.protocol == "HTTPS" && aws_lb_listener.this.default_action[0].fixed_response[0].status_code == "404"
    error_message = "the door is public, in plain, or open to unknown names"
  }
}

run "balancer_rejects_everybody" {
  command = plan
  module { source = "./modules/balancer" }
  variables {
    domain          = "example.com"
    certificate_arn = "arn:aws:acm:eu-central-1:000000000000:certificate/1"
    callers         = ["0.0.0.0/0"]
    protected       = true
  }
  expect_failures = [var.callers]
}

run "route_rejects_shares_that_lose_requests" {
  command = plan
  module { source = "./modules/route" }
  variables {
    host        = "serving"
    health_path = "/health"
    port        = 8000
    vpc_id      = "vpc-1"
    shares      = { blue = 50, green = 40 }
  }
  expect_failures = [var.shares]
}

run "serving_splits_requests_and_only_notes_what_serves" {
  module { source = "./modules/serving" }
  variables {
    colours = {
      blue  = { image = "image:1", share = 90, size = { cpu = 2048, memory = 4096, min = 2, max = 4 } }
      green = { image = "image:2", share = 10, size = { cpu = 2048, memory = 4096, min = 1, max = 1 } }
    }
  }
  assert {
    condition     = output.url == "https://serving.example.com" && length(output.target_group_names) == 2
    error_message = "blue and green do not share one name"
  }
}

run "serving_rejects_requests_to_nobody" {
  command = plan
  module { source = "./modules/serving" }
  variables {
    colours = {
      blue  = { image = "image:1", share = 100, size = { cpu = 2048, memory = 4096, min = 0, max = 4 } }
      green = { image = "image:2", share = 0, size = { cpu = 2048, memory = 4096, min = 0, max = 0 } }
    }
  }
  expect_failures = [var.colours]
}

run "mlflow_asks_who_is_there" {
  module { source = "./modules/mlflow" }
  variables { size = { cpu = 1024, memory = 2048, min = 1, max = 1 } }
  assert {
    condition     = output.url == "https://mlflow.example.com"
    error_message = "MLflow is not at its name"
  }
}

run "airflow_rejects_pools_that_share_a_queue" {
  command = plan
  module { source = "./modules/airflow" }
  variables {
    source_secret_arn = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:source"
    sizes = {
      api-server    = { cpu = 1024, memory = 2048, min = 1, max = 1 }
      scheduler     = { cpu = 1024, memory = 2048, min = 1, max = 1 }
      dag-processor = { cpu = 1024, memory = 2048, min = 1, max = 1 }
      triggerer     = { cpu = 1024, memory = 2048, min = 1, max = 1 }
    }
    workers = {
      one = { queues = ["light"], problems = ["flights"], changes_tables = true, reads_source = true, concurrency = 1, size = { cpu = 1024, memory = 2048, min = 1, max = 1 } }
      two = { queues = ["light"], problems = ["complaints"], changes_tables = true, reads_source = true, concurrency = 1, size = { cpu = 1024, memory = 2048, min = 1, max = 1 } }
    }
  }
  expect_failures = [var.workers]
}

run "airflow_has_a_role_for_every_program_and_pool" {
  module { source = "./modules/airflow" }
  variables {
    source_secret_arn = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:source"
    sizes = {
      api-server    = { cpu = 1024, memory = 2048, min = 1, max = 1 }
      scheduler     = { cpu = 1024, memory = 2048, min = 1, max = 1 }
      dag-processor = { cpu = 1024, memory = 2048, min = 1, max = 1 }
      triggerer     = { cpu = 1024, memory = 2048, min = 1, max = 1 }
    }
    workers = {
      flights = { queues = ["light"], problems = ["flights"], changes_tables = true, reads_source = true, concurrency = 1, size = { cpu = 1024, memory = 2048, min = 1, max = 1 } }
    }
  }
  assert {
    condition     = toset(keys(output.roles)) == toset(["api-server", "scheduler", "dag-processor", "triggerer", "worker-flights"])
    error_message = "some program shares a role"
  }
  assert {
    condition     = aws_efs_file_system.logs.encrypted
    error_message = "logs of tasks are in plain"
  }
}

run "mwaa_is_private" {
  module { source = "./modules/mwaa" }
  variables {
    airflow_version   = "3.3.2"
    environment_class = "mw1.large"
    max_workers       = 2
  }
  assert {
    condition     = aws_mwaa_environment.this.webserver_access_mode == "PRIVATE_ONLY"
    error_message = "Airflow is public"
  }
  assert {
    condition     = strcontains(aws_s3_object.start.content, "export EVERGREEN_DATABASE_URL=\"$(secret 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:url')\"")
    error_message = "the start does not fetch secrets: ${aws_s3_object.start.content}"
  }
}

run "mwaa_rejects_an_airflow_that_is_too_old" {
  command = plan
  module { source = "./modules/mwaa" }
  variables {
    airflow_version   = "2.10.3"
    environment_class = "mw1.large"
    max_workers       = 2
  }
  expect_failures = [var.airflow_version]
}

run "alarms_ring_when_nothing_is_heard_of_a_night" {
  module { source = "./modules/alarms" }
  variables {
    mail                = ["a@example.com"]
    balancer            = "app/a/1"
    databases           = ["evergreen-test-evergreen"]
    scheduler_log_group = "/evergreen-test-scheduler"
  }
  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset(["errors", "latency", "refused", "queue", "storage-evergreen-test-evergreen", "night-flights", "night-complaints"])
    error_message = "an alarm is missing"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["night-flights"].treat_missing_data == "breaching"
    error_message = "silence counts as well"
  }
  assert {
    condition     = alltrue([for one in aws_cloudwatch_metric_alarm.this : strcontains(one.alarm_description, "First step:") && length(one.alarm_actions) == 1])
    error_message = "an alarm does not say what to do, or tells nobody"
  }
}

run "alarms_reject_an_empty_room" {
  command = plan
  module { source = "./modules/alarms" }
  variables {
    mail                = []
    balancer            = "app/a/1"
    databases           = []
    scheduler_log_group = "/x"
  }
  expect_failures = [var.mail]
}

run "budget_counts_training_by_its_tag" {
  module { source = "./modules/budget" }
  variables {
    environment = "dev"
    monthly_usd = { total = 100, training = 50 }
    topic_arn   = "arn:aws:sns:eu-central-1:000000000000:t"
  }
  assert {
    condition     = contains(flatten([for one in aws_budgets_budget.this["training"].cost_filter : one.values]), "user:part$training")
    error_message = "the budget of training counts something else"
  }
}
