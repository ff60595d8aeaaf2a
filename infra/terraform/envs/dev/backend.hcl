bucket       = "evergreen-terraform-000000000000" # made by hand once: versioned, encrypted, private
key          = "dev.tfstate"
region       = "eu-central-1"
encrypt      = true
use_lockfile = true
