# What the program in a container may do: read and write below its own prefixes of the store, and nothing else.

data "aws_caller_identity" "this" {}

locals {
  readable = setunion(var.read, var.write)
  objects  = { for kind, prefixes in { read = local.readable, write = var.write, keep = var.keep } : kind => [for one in prefixes : "${var.bucket_arn}/${one}"] }

  statements = [
    length(local.readable) == 0 ? null : {
      Sid       = "List"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [var.bucket_arn]
      Condition = { StringLike = { "s3:prefix" = sort(local.readable) } }
    },
    length(local.readable) == 0 ? null : {
      Sid      = "Read"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = local.objects.read
    },
    length(var.write) == 0 ? null : {
      Sid      = "Write"
      Effect   = "Allow"
      Action   = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
      Resource = local.objects.write
    },
    length(var.keep) == 0 ? null : {
      Sid      = "Keep"
      Effect   = "Deny"
      Action   = ["s3:PutObject", "s3:DeleteObject"]
      Resource = local.objects.keep
    },
    {
      Sid       = "Key"
      Effect    = "Allow"
      Action    = length(var.write) == 0 ? ["kms:Decrypt"] : ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = [var.kms_key_arn]
      Condition = { StringLike = { "kms:ViaService" = ["s3.*.amazonaws.com"] } } # the key opens the store's objects and no secret
    },
  ]
}

resource "aws_iam_role" "this" {
  name        = var.name
  description = var.description
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = var.service }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.this.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name   = "store"
  role   = aws_iam_role.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = [for one in local.statements : one if one != null] })
}
