"""What every program of the stack is told by its environment; passwords travel here and never on a command line."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml.embedded.secrets import Secrets
from ml.settings import PROJECT

# Set by people for their own work; it must not leak into the stack. PYTHONDONTWRITEBYTECODE would make every start slow.
FOREIGN = ("AIRFLOW_", "EVERGREEN_", "MLFLOW_", "_MLFLOW_", "PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "PYTHONDONTWRITE")


@dataclass(frozen=True)
class Ports:
    """Where the parts listen, all on 127.0.0.1."""

    airflow: int
    mlflow: int
    serving: int
    postgres: int


@dataclass(frozen=True)
class Addresses:
    """Database addresses with passwords in them."""

    airflow: str = field(repr=False)
    mlflow: str = field(repr=False)
    evergreen: str = field(repr=False)
    production_reader: str = field(repr=False)


def common(outer: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The outer environment without what is not ours, quiet and without calls to anybody's statistics."""
    kept = {name: value for name, value in outer.items() if not name.startswith(FOREIGN)}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{outer.get('PATH', os.defpath)}",
        "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "plugins"))),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": ",".join(filter(None, (outer.get("NO_PROXY"), "127.0.0.1,localhost"))),
        "DO_NOT_TRACK": "1",
        "SCARF_ANALYTICS": "false",
        "GX_ANALYTICS_ENABLED": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MPLBACKEND": "Agg",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def evergreen(
    home: Path, ports: Ports, addresses: Addresses, secrets: Secrets, *, problems: Path, expectations: Path
) -> dict[str, str]:
    """Our own settings; `ml.settings` says what each means."""
    return {
        "EVERGREEN_STORE": str(home / "store"),
        "EVERGREEN_CACHE": str(home / "cache"),
        "EVERGREEN_SOURCE_URL": addresses.production_reader,
        "EVERGREEN_DATABASE_URL": addresses.evergreen,
        "EVERGREEN_MLFLOW_URL": f"http://127.0.0.1:{ports.mlflow}",
        "EVERGREEN_SERVING_URL": f"http://127.0.0.1:{ports.serving}",
        "EVERGREEN_SERVING_TOKEN": secrets.serving_token,
        "EVERGREEN_SERVING_STATE": str(home / "serving"),
        "EVERGREEN_PROBLEMS": str(problems),
        "EVERGREEN_EXPECTATIONS": str(expectations),
        "EVERGREEN_CLOCK_FILE": str(home / "clock"),
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports.mlflow}",
    }


def airflow(home: Path, ports: Ports, addresses: Addresses, secrets: Secrets) -> dict[str, str]:
    """Airflow 3 with LocalExecutor, tuned for short tasks on a small machine."""
    here = f"http://127.0.0.1:{ports.airflow}"
    options: dict[str, dict[str, object]] = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": "4",
            "dags_folder": PROJECT / "dags",
            "plugins_folder": PROJECT / "plugins",
            "load_examples": "False",
            "dags_are_paused_at_creation": "False",  # replayed history has no cron: nothing starts by itself
            "hostname_callable": "socket.gethostname",  # the default asks DNS, which may take seconds to say no
            "execution_api_server_url": f"{here}/execution/",
            "fernet_key": secrets.fernet_key,
            "simple_auth_manager_users": "admin:admin",
            "simple_auth_manager_passwords_file": home / "airflow" / "passwords.json",
        },
        "database": {"sql_alchemy_conn": addresses.airflow.replace("postgresql://", "postgresql+psycopg2://")},
        "scheduler": {
            "scheduler_idle_sleep_time": "0.2",  # seconds a finished task waits for its successor
            "scheduler_health_check_threshold": "15",  # after a kill, a new scheduler takes the tasks over this soon
            "orphaned_tasks_check_interval": "10",
            "task_instance_heartbeat_timeout": "120",
        },
        "workers": {"min_heartbeat_interval": "1"},  # with the default a slot stays busy for 5 s after its task
        "dag_processor": {"refresh_interval": "10", "min_file_process_interval": "10", "parsing_processes": "1"},
        "api": {"host": "127.0.0.1", "port": ports.airflow, "base_url": here, "secret_key": secrets.api_secret_key},
        "api_auth": {"jwt_secret": secrets.jwt_secret},
        "logging": {"base_log_folder": home / "airflow" / "logs", "colored_console_log": "False"},
    }
    variables = {
        f"AIRFLOW__{part}__{name}".upper(): str(value) for part, pairs in options.items() for name, value in pairs.items()
    }
    config_folder = Path(__file__).parent / "airflow_config"  # holds airflow_local_settings.py
    path = os.pathsep.join(map(str, (PROJECT, PROJECT / "plugins", config_folder)))
    return variables | {"AIRFLOW_HOME": str(home / "airflow"), "PYTHONPATH": path}


def mlflow(home: Path, ports: Ports, addresses: Addresses) -> dict[str, str]:
    """The tracking server: metadata in PostgreSQL, artifacts on disk, served over HTTP."""
    return {
        "MLFLOW_BACKEND_STORE_URI": addresses.mlflow.replace("postgresql://", "postgresql+psycopg2://"),
        "MLFLOW_ARTIFACTS_DESTINATION": str(home / "mlflow"),
        "MLFLOW_HOST": "127.0.0.1",
        "MLFLOW_PORT": str(ports.mlflow),
        "MLFLOW_WORKERS": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight helper processes for features that are not used here
    }
