"""`python3 -m infra.compose up|down|backup|restore`: what `make up` and its like do."""

import argparse
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.compose import backup, docker, secrets

SECRETS = docker.PROJECT / "secrets"
SITES = {
    "airflow": "user admin, password in secrets/airflow_admin_password",
    "mlflow": "user admin, secrets/mlflow_admin_password",
}
SITES |= {"grafana": "user admin, secrets/grafana_admin_password", "predict": "Authorization: Bearer, key in secrets/predict_key"}


def up(*, build: bool) -> None:
    """Make what is missing, start everything, wait until all is healthy, and say where it is."""
    made = secrets.provide(SECRETS)
    old = docker.volumes()
    if "postgres_postgres" in made and old:
        raise SystemExit(
            f"secrets/ was empty, but volumes of an earlier stack exist ({', '.join(old)}), made with other passwords. Put its "
            "secrets/ back (`make backup` keeps a copy), or remove secrets/ and the volumes: docker compose down --volumes."
        )
    print(f"secrets/ has {len(made)} new files" if made else "secrets/ is as it was")  # noqa: T201
    if build:
        docker.build()
    start(docker.services())
    told()


def start(services: list[str]) -> None:
    """Start services with what they need, and wait for health."""
    os.environ["STACK_PORT_SUFFIX"] = _suffix()
    docker.compose("up", "--detach", "--wait", "--no-build", "--remove-orphans", *services)


def told() -> None:
    """Print the addresses, and where the passwords are."""
    domain = _proxy()["environment"]["STACK_DOMAIN"]
    for name, login in SITES.items():
        print(f"https://{name}.{domain}{_suffix()}   {login}")  # noqa: T201
    if domain == "localhost":
        print("The proxy signs its certificates itself. To trust it, fetch its authority once:")  # noqa: T201
        print("  docker compose cp proxy:/var/lib/caddy/pki/authorities/local/root.crt .")  # noqa: T201


def _suffix() -> str:
    published = next(port["published"] for port in _proxy()["ports"] if port["target"] == 8443)
    return "" if published == "443" else f":{published}"


def _proxy() -> Any:
    """The proxy's part of the compose file, with all settings filled in."""
    content = json.loads(docker.compose("config", "--format", "json", capture_output=True).stdout)
    return content["services"]["proxy"]


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(prog="python3 -m infra.compose", description="The full stack of docker-compose.yaml.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("up", "restore"):
        one = commands.add_parser(name)
        one.add_argument("--no-build", action="store_true", help="take the images as they are")
        if name == "restore":
            one.add_argument("folder", type=Path, help="a folder that `backup` wrote")
    commands.add_parser("down", help="end all containers; volumes stay")
    saving = commands.add_parser("backup")
    default = docker.PROJECT / "build" / "backups" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    saving.add_argument("--to", type=Path, default=default, help="a folder that does not exist yet")
    asked = parser.parse_args()
    if asked.command == "up":
        up(build=not asked.no_build)
    elif asked.command == "down":
        docker.compose("down")
    elif asked.command == "backup":
        backup.save(asked.to, SECRETS)
    else:
        backup.check(asked.folder)
        backup.demand_empty(SECRETS, asked.folder)
        if not asked.no_build:
            docker.build()
        backup.load(asked.folder, SECRETS, start)
        up(build=False)


if __name__ == "__main__":
    main()
