# What wakes somebody. The pipeline's own alerts say more; these also come when the pipeline itself is away.

data "aws_caller_identity" "this" {}

locals {
  balancer = { LoadBalancer = var.balancer }

  service = {
    errors = {
      text      = "The prediction service answered with 5xx. First step: its newest log lines, then the share of the older colour back to 100."
      metric    = "HTTPCode_Target_5XX_Count", namespace = "AWS/ApplicationELB", where = local.balancer
      statistic = "Sum", period = 60, periods = 5, more_than = var.limits.errors_per_minute, silence = "notBreaching"
    }
    latency = {
      text      = "The slowest hundredth of answers takes too long. First step: processor use of the service, then more tasks."
      metric    = "TargetResponseTime", namespace = "AWS/ApplicationELB", where = local.balancer
      statistic = "p99", period = 60, periods = 5, more_than = var.limits.p99_seconds, silence = "notBreaching"
    }
    refused = {
      text      = "The load balancer itself answered with 5xx: no task is well. First step: events of the ECS service."
      metric    = "HTTPCode_ELB_5XX_Count", namespace = "AWS/ApplicationELB", where = local.balancer
      statistic = "Sum", period = 60, periods = 3, more_than = var.limits.errors_per_minute, silence = "notBreaching"
    }
  }

  storage = { for one in var.databases : "storage-${one}" => {
    text      = "The disk of ${one} is nearly full and has grown to its limit. First step: what grew, then storage_gb."
    metric    = "FreeStorageSpace", namespace = "AWS/RDS", where = { DBInstanceIdentifier = one }
    statistic = "Minimum", period = 300, periods = 3, less_than = var.limits.free_gb * 1073741824, silence = "breaching"
  } }

  queue = {
    queue = {
      text      = "Tasks wait in a queue for five minutes and more. First step: do the workers of its pool run, and are they enough?"
      metric    = "TasksStuck", namespace = var.name, where = {}
      statistic = "Sum", period = 300, periods = 2, more_than = 0, silence = "notBreaching"
    }
  }

  nights = { for problem in var.problems : "night-${problem}" => {
    text      = "No night of ${problem} has ended well for a day. First step: the newest run of retrain_${problem} in Airflow."
    metric    = "Nights-${problem}", namespace = var.name, where = {}
    statistic = "Sum", period = 86400, periods = 1, less_than = 1, silence = "breaching"
  } }

  alarms = merge(local.service, local.storage, local.queue, local.nights)

  lines = merge(
    { TasksStuck = "\"Task stuck in queued\"" },
    { for problem in var.problems : "Nights-${problem}" => "\"DagRun Finished: dag_id=retrain_${problem},\" \"state=success\"" },
  )
}

resource "aws_sns_topic" "this" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "this" {
  arn = aws_sns_topic.this.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.this.arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "mail" {
  for_each = var.mail

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.lines

  name           = "${var.name}-${each.key}"
  log_group_name = var.scheduler_log_group
  pattern        = each.value

  metric_transformation {
    name      = each.key
    namespace = var.name
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.where
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  period              = each.value.period
  evaluation_periods  = each.value.periods
  comparison_operator = can(each.value.more_than) ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = try(each.value.more_than, each.value.less_than)
  treat_missing_data  = each.value.silence
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
}
