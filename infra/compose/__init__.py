"""The full stack of docker-compose.yaml: its secrets, its first start, its backups.

On the host only the standard library is used, so that `make up` needs no set-up.
"""
