# A password that AWS draws and only Secrets Manager knows: neither plan nor state holds it.

ephemeral "aws_secretsmanager_random_password" "this" {
  password_length     = 32
  exclude_punctuation = true # it travels in URLs
}

locals {
  drawn = ephemeral.aws_secretsmanager_random_password.this.random_password
  # Fernet wants 32 bytes in the URL's base64
  written = var.fernet ? replace(replace(base64encode(local.drawn), "+", "-"), "/", "_") : local.drawn
}

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:a higher `revision` draws a new one together with the tasks that read it; a rotation by the clock would break them
  name                    = var.name
  description             = var.description
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.recovery_days
}

resource "aws_secretsmanager_secret_version" "this" {
  secret_id                = aws_secretsmanager_secret.this.id
  secret_string_wo         = local.written
  secret_string_wo_version = var.revision
}

# read back, so that an apply that broke off after writing it goes on with the same one
ephemeral "aws_secretsmanager_secret_version" "this" {
  secret_id = aws_secretsmanager_secret_version.this.secret_id
}
