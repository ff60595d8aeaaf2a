# A small environment that may be destroyed with all it holds.
environment   = "dev"
region        = "eu-central-1"
protected     = false
bucket_suffix = "000000000000" # the account's number

domain          = "dev.evergreen.example.com"
certificate_arn = "arn:aws:acm:eu-central-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"
callers         = ["10.0.0.0/16"]
network         = { cidr = "10.20.0.0/16", zones = 2, internet_egress = false }

problems        = ["flights", "complaints"]
noncurrent_days = 7
database        = { instance_class = "db.t4g.small", storage_gb = 20, backup_days = 3 }
source_database = {
  secret_arn        = "arn:aws:secretsmanager:eu-central-1:000000000000:secret:production-replica"
  security_group_id = "sg-00000000000000000"
}

images = { evergreen-airflow = "0.1.0" }
sizes  = { mlflow = { cpu = 1024, memory = 2048, min = 1, max = 1 } }
serving = {
  blue  = { tag = "0.1.0", share = 100, size = { cpu = 1024, memory = 2048, min = 1, max = 1 } }
  green = { tag = "0.1.0", share = 0, size = { cpu = 1024, memory = 2048, min = 0, max = 0 } }
}

airflow = {
  kind = "ecs"
  sizes = {
    api-server    = { cpu = 1024, memory = 3072, min = 1, max = 1 }
    scheduler     = { cpu = 1024, memory = 2048, min = 1, max = 1 }
    dag-processor = { cpu = 512, memory = 1024, min = 1, max = 1 }
    triggerer     = { cpu = 512, memory = 1024, min = 1, max = 1 }
  }
  workers = {
    light = {
      queues         = ["light"]
      problems       = ["flights", "complaints"]
      changes_tables = true
      reads_source   = true
      concurrency    = 2
      size           = { cpu = 1024, memory = 4096, min = 1, max = 1 }
    }
    training = {
      queues         = ["training"]
      problems       = ["flights", "complaints"]
      changes_tables = false
      reads_source   = false
      concurrency    = 1
      size           = { cpu = 2048, memory = 8192, min = 1, max = 1 }
    }
  }
}

mail        = ["evergreen-dev@example.com"]
monthly_usd = { total = 1000, training = 300 } # set to what you are ready to pay; no estimate
