"""The state of the full stack as a folder: databases, both buckets, secrets, and a checksum of each.

Databases first, files after: files are added and never changed, so whatever a database speaks of is among them.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from infra.compose import docker, secrets
from infra.compose.secrets import BUCKETS

SUMS = "SHA256SUMS"
# the ledger leads and MLflow's aliases follow, so the ledger is never newer than what MLflow knows
ORDER = ("evergreen", "airflow", "mlflow", "mlflow_auth", "production")
OURS = "@postgres:"  # a production database elsewhere has backups of its own


def save(folder: Path, kept: Path) -> None:
    """Write a backup of the running stack.

    Raises: SystemExit: a part could not be read; the folder then has no checksums and no restore takes it.
    """
    folder.mkdir(mode=0o700, parents=True)
    for database in databases(kept):
        into = folder / f"{database}.dump"
        docker.into(into, "exec", "-T", "postgres", "pg_dump", "--username=postgres", "--format=custom", database)
    for bucket in BUCKETS:
        docker.into(folder / f"{bucket}.tar", *_objects("save", bucket))
    shutil.copytree(kept, folder / "secrets")
    (folder / "secrets").chmod(secrets.FOLDER_MODE)
    (folder / SUMS).write_text(sums(folder))
    size = sum(path.stat().st_size for path in _files(folder))
    print(f"{folder}: {size / 1e6:,.1f} MB. It holds passwords and data: keep it where only you can read it.")  # noqa: T201


def check(folder: Path) -> None:
    """Raises: SystemExit: it is no whole backup, or a file is not what was written."""
    if not (folder / SUMS).exists():
        raise SystemExit(f"{folder} has no {SUMS}, so it is no backup that came to its end. Name another folder: BACKUP=folder.")
    lines = (line.partition("  ") for line in (folder / SUMS).read_text().splitlines())
    told = {name: digest for digest, _, name in lines}
    found = {str(path.relative_to(folder)): _sum(path) for path in _files(folder)}
    wrong = sorted(name for name in {*told, *found} if told.get(name) != found.get(name))
    if wrong:
        raise SystemExit(f"{folder} is not as it was written: {', '.join(wrong)}. Nothing was restored; take another backup.")


def demand_empty(kept: Path, folder: Path) -> None:
    """Raises: SystemExit: a stack is here already; a restore would mix two."""
    old = docker.volumes()
    if old:
        raise SystemExit(
            f"A stack is here already ({', '.join(old)}). A restore wants none: `make backup` if you need it, then "
            "docker compose down --volumes."
        )
    if kept.exists() and any(path.read_bytes() != (folder / "secrets" / path.name).read_bytes() for path in kept.iterdir()):
        raise SystemExit(f"{kept} holds other secrets than the backup. Move it away; the backup brings its own.")


def load(folder: Path, kept: Path, start: Callable[[list[str]], None]) -> None:
    """Fill an empty stack: databases and buckets, before anything runs that would write into them."""
    if not kept.exists():
        shutil.copytree(folder / "secrets", kept)
        kept.chmod(secrets.FOLDER_MODE)
    start(["postgres", "seaweedfs"])
    docker.compose("run", "--rm", "--no-deps", "-T", "init", "python", "-m", "infra.compose.init", "stores")
    for dump in sorted(folder.glob("*.dump")):
        command = ("pg_restore", "--username=postgres", "--exit-on-error", f"--dbname={dump.stem}")
        docker.out_of(dump, "exec", "-T", "postgres", *command)
    for bucket in BUCKETS:
        docker.out_of(folder / f"{bucket}.tar", *_objects("load", bucket))


def sums(folder: Path) -> str:
    """A line per file, as `sha256sum --check` reads them."""
    return "".join(f"{_sum(path)}  {path.relative_to(folder)}\n" for path in _files(folder))


def databases(kept: Path) -> list[str]:
    """Those to save, in this order; production only where it is the stack's own."""
    ours = OURS in (kept / "evergreen_source_url").read_text()
    return [database for database in ORDER if database != "production" or ours]


def _objects(act: str, bucket: str) -> tuple[str, ...]:
    return ("run", "--rm", "--no-deps", "-T", "init", "python", "-m", "infra.compose.objects", act, bucket)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
