"""Passwords, keys and what holds them, made at the first start of the full stack: one file per secret in one folder.

Containers get single files at /run/secrets and run as users of their own, whom a file of mode 0600 would keep out. So the
files can be read by all, and the folder (0700) lets nobody but its owner near them.
"""

import base64
import json
import os
import secrets as random
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o644
DATABASES = {
    "airflow": "airflow",
    "mlflow": "mlflow",
    "mlflow_auth": "mlflow",
    "evergreen": "evergreen",
    "production": "producer",
}
ROLES = ("airflow", "mlflow", "evergreen", "producer", "evergreen_reader", "grafana")
BUCKETS = ("evergreen", "mlflow")
FOR_PEOPLE = {  # addresses that only people know; until they are filled in nothing is sent
    "alerts.toml": "# where Evergreen's own alerts go: docs/alerts.md shows what to write here\n",
    "alertmanager_chat_url": "",
    "alertmanager_pagerduty_key": "",
}


def provide(folder: Path) -> list[str]:
    """Make the secrets that are not there yet; those that are stay as they are.

    A stack that was made with one set must keep it, so derived files (addresses with passwords in them) are made from the
    passwords in the folder, never from new ones.
    Returns: names of the files made.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    made = [name for name, value in (_random() | FOR_PEOPLE).items() if _write(folder / name, value)]
    known = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    return made + [name for name, value in _derived(known).items() if _write(folder / name, value)]


def _random() -> dict[str, str]:
    """What is drawn by chance."""
    words = [f"postgres_{role}" for role in ("postgres", *ROLES)] + [f"s3_{bucket}_secret" for bucket in (*BUCKETS, "admin")]
    words += ["redis_password", "serving_token", "airflow_api_secret_key", "mlflow_flask_key", "mlflow_evergreen_password"]
    words += ["airflow_admin_password", "mlflow_admin_password", "grafana_admin_password"]
    return {name: random.token_urlsafe(24) for name in words} | {
        "airflow_fernet_key": base64.urlsafe_b64encode(random.token_bytes(32)).decode(),
        "airflow_jwt_secret": random.token_urlsafe(64),  # HS512 wants 64 bytes
        "predict_key": f"eg_{random.token_hex(4)}_{random.token_urlsafe(32)}",  # of the form that `python -m ml keys new` makes
    }


def _derived(known: dict[str, str]) -> dict[str, str]:
    """Files that hold a password inside something longer."""

    def url(scheme: str, role: str, database: str) -> str:
        return f"{scheme}://{role}:{known[f'postgres_{role}']}@postgres:5432/{database}"

    alchemy, auth = "postgresql+psycopg2", url("postgresql+psycopg2", "mlflow", "mlflow_auth")
    people = [_identity(name, known[f"s3_{name}_secret"], [f"{act}:{name}" for act in _ACTIONS]) for name in BUCKETS]
    return {
        "airflow_database_url": url(alchemy, "airflow", "airflow"),
        "airflow_result_backend": "db+" + url("postgresql", "airflow", "airflow"),
        "airflow_broker_url": f"redis://:{known['redis_password']}@redis:6379/0",
        "redis.conf": f'requirepass "{known["redis_password"]}"\nappendonly yes\ndir /data\nmaxmemory-policy noeviction\n',
        "mlflow_database_url": url(alchemy, "mlflow", "mlflow"),
        "mlflow_auth.ini": f"[mlflow]\ndefault_permission = READ\nadmin_username = admin\ndatabase_uri = {auth}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\nauth_cache_ttl_seconds = 60\n",
        "evergreen_database_url": url("postgresql", "evergreen", "evergreen"),
        "evergreen_source_url": url("postgresql", "evergreen_reader", "production"),
        "producer_url": url("postgresql", "producer", "production"),
        "s3.json": json.dumps({"identities": [*people, _identity("admin", known["s3_admin_secret"], ["Admin"])]}, indent=1),
    }


_ACTIONS = ("Read", "Write", "List", "Tagging")


def _identity(name: str, secret: str, actions: list[str]) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}


def _write(path: Path, text: str) -> bool:
    """Make the file unless it is there; whole or not at all."""
    if path.exists():
        return False
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w") as file:
        os.fchmod(file.fileno(), FILE_MODE)  # whatever the umask says
        file.write(text)
    scratch.rename(path)
    return True
