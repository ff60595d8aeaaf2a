"""Run in a container before the others start: what the services need is there, and their tables are of the newest schema.

`python init.py stores` makes roles, databases and buckets; `tables` brings the tables up to date and makes the first users and
key; `mlflow` makes the pipeline's user in a running MLflow. Each may run again and again: it makes what is absent.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from infra.compose.secrets import BUCKETS, DATABASES, ROLES

SECRETS = Path("/run/secrets")
PATIENCE_S = 120
SEEN_BY_GRAFANA = ("ledger", "work")


def stores() -> None:
    """Roles, databases and buckets."""
    with closing(_connect("postgres")) as connection, connection.cursor() as cursor:
        for role in ROLES:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            change = sql.SQL("ALTER ROLE {} PASSWORD {}")
            cursor.execute(change.format(sql.Identifier(role), sql.Literal(_secret(f"postgres_{role}"))))
        for database, owner in DATABASES.items():
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                made = sql.SQL("CREATE DATABASE {} OWNER {}")
                cursor.execute(made.format(sql.Identifier(database), sql.Identifier(owner)))
                cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
        for database, guest in (("production", "evergreen_reader"), ("evergreen", "grafana")):
            cursor.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), sql.Identifier(guest)))
    _make_buckets()


def tables() -> None:
    """Tables of Airflow and of the ledger; Airflow's administrator, and a first key for callers of the service."""
    from ml import database, keys, settings

    _airflow("db", "migrate")
    _airflow("fab-db", "migrate")
    _provide_admin()
    url = settings.read().database_url
    database.migrate(url)
    if not any(key.client == "first" for key in keys.every(url)):
        asked = keys.Asked(client="first", scopes=("predict", "feedback"))
        keys.new(url, asked, actor="make up", now=datetime.now(UTC), text=_secret("predict_key"))
    with closing(_connect("evergreen")) as connection, connection.cursor() as cursor:
        for table in SEEN_BY_GRAFANA:
            cursor.execute(sql.SQL("GRANT SELECT ON {} TO grafana").format(sql.Identifier(table)))


def mlflow() -> None:
    """The pipeline's user; what it makes in MLflow is its own, other users may only look unless they are given more."""
    content = json.dumps({"username": "evergreen", "password": _secret("mlflow_evergreen_password")}).encode()
    login = b64encode(f"admin:{_secret('mlflow_admin_password')}".encode()).decode()
    url = f"{os.environ['MLFLOW_URL']}/api/2.0/mlflow/users/create"
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    try:
        urllib.request.urlopen(urllib.request.Request(url, content, headers), timeout=60).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        told = error.read().decode()
        if "RESOURCE_ALREADY_EXISTS" not in told:
            sys.exit(f"MLflow did not make the user evergreen: {error.code} {told[:300]}")


def _provide_admin() -> None:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    # in this process: `airflow users create` would take the password as an argument, which every process can read
    with get_application_builder() as builder:
        manager = builder.sm
        if not manager.find_user(username="admin"):
            role = manager.find_role("Admin")
            if not manager.add_user("admin", "Evergreen", "Admin", "admin@localhost", role, _secret("airflow_admin_password")):
                sys.exit("Airflow did not make its user admin; see the lines above.")


def _airflow(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "airflow", *arguments], check=True)


def _make_buckets() -> None:
    """The store answers before it can store anything, so this asks until a bucket takes an object."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client("s3", aws_access_key_id="admin", aws_secret_access_key=_secret("s3_admin_secret"))
    until = time.monotonic() + PATIENCE_S
    for bucket in BUCKETS:
        while True:
            try:
                if bucket not in {one["Name"] for one in client.list_buckets()["Buckets"]}:
                    client.create_bucket(Bucket=bucket)
                client.put_object(Bucket=bucket, Key=".ready", Body=b"")
                break
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > until:
                    sys.exit(f"The object store did not take an object into the bucket {bucket}: {error}")
                time.sleep(1)


def _connect(database: str) -> "psycopg2.extensions.connection":
    url = f"postgresql://postgres:{quote(_secret('postgres_postgres'), safe='')}@postgres:5432/{database}"
    connection = psycopg2.connect(url)
    connection.autocommit = True  # CREATE DATABASE stands outside transactions
    return connection


def _secret(name: str) -> str:
    return (SECRETS / name).read_text()


if __name__ == "__main__":
    for step in sys.argv[1:]:
        {"stores": stores, "tables": tables, "mlflow": mlflow}[step]()
