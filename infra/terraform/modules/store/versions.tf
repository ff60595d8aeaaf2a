terraform {
  required_providers {
    aws = { source = "hashicorp/aws" } # its version is set once, by the root
  }
}
