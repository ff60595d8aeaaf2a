terraform {
  required_version = ">= 1.11" # write-only arguments keep passwords out of the state

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  backend "s3" {} # envs/<environment>/backend.hcl
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { project = var.name, environment = var.environment }
  }
}
