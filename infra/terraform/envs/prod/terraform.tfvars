# What people rely on: standbys, no deletion, more of everything.
environment   = "prod"
region        = "eu-central-1"
protected     = true
bucket_suffix = "000000000000" # the account's number

domain          = "evergreen.example.com"
certificate_arn = "arn:aws:acm:eu-central-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"
callers         = ["10.0.0.0/16"]
network         = { cidr = "10.30.0.0/16", zones = 3, internet_egress = true }

problems        = ["flights", "complaints"]
noncurrent_days = 30
database        = { instance_class = "db.m7g.large", storage_gb = 100, backup_days = 14 }
source_database = {
  secret_arn        = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:production-replica"
  security_group_id = "sg-00000000000000000"
}

images = { evergreen-airflow = "0.1.0" }
sizes  = { mlflow = { cpu = 1024, memory = 4096, min = 2, max = 2 } }
serving = {
  blue  = { tag = "0.1.0", share = 100, size = { cpu = 2048, memory = 4096, min = 2, max = 8 } }
  green = { tag = "0.1.0", share = 0, size = { cpu = 2048, memory = 4096, min = 0, max = 0 } }
}

airflow = {
  kind = "ecs"
  sizes = {
    api-server    = { cpu = 2048, memory = 4096, min = 2, max = 2 }
    scheduler     = { cpu = 1024, memory = 4096, min = 2, max = 2 }
    dag-processor = { cpu = 1024, memory = 2048, min = 1, max = 1 }
    triggerer     = { cpu = 512, memory = 1024, min = 2, max = 2 }
  }
  workers = {
    light = {
      queues         = ["light"]
      problems       = ["flights", "complaints"]
      changes_tables = true
      reads_source   = true
      concurrency    = 4
      size           = { cpu = 2048, memory = 8192, min = 2, max = 4 }
    }
    training = {
      queues         = ["training"]
      problems       = ["flights", "complaints"]
      changes_tables = false
      reads_source   = false
      concurrency    = 1
      size           = { cpu = 8192, memory = 32768, disk_gb = 50, min = 1, max = 4 }
    }
  }
}

mail        = ["evergreen-on-call@example.com"]
monthly_usd = { total = 5000, training = 1500 } # set to what you are ready to pay; no estimate
