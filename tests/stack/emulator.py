"""An emulated AWS that judges every call by IAM policies and speaks TLS, on this machine alone."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stack.cloud_kit import run, tool

REGION = "eu-central-1"
ACCOUNT = "000000000000"


@dataclass(frozen=True)
class Cloud:
    """Where the emulator answers, and the account's administrator."""

    url: str
    certificate: Path
    log: Path
    key: str = "administrator"
    secret: str = "administrator-of-an-emulator"

    @property
    def environment(self) -> dict[str, str]:
        """For Terraform and the command line."""
        names = {"AWS_ENDPOINT_URL": self.url, "AWS_CA_BUNDLE": str(self.certificate), "AWS_REGION": REGION}
        return names | {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}

    @property
    def override(self) -> str:
        """What the code needs to meet the emulator and not Amazon."""
        return (
            'terraform {\n  backend "local" {}\n}\n\nprovider "aws" {\n'
            f'  region = "{REGION}"\n  max_retries = 2\n  s3_use_path_style = true\n  skip_metadata_api_check = true\n'
            f'  skip_credentials_validation = true\n  custom_ca_bundle = "{self.certificate}"\n}}\n'
        )

    def client(self, service: str, **keys: Any) -> Any:
        """A boto3 client: the administrator's, or that of whose keys are given."""
        import boto3

        who = keys or {"aws_access_key_id": self.key, "aws_secret_access_key": self.secret}
        return boto3.session.Session().client(
            service, endpoint_url=self.url, region_name=REGION, verify=str(self.certificate), **who
        )


@contextmanager
def emulated(folder: Path) -> Iterator[Cloud]:
    """Start the emulator on a free port; its whole process group ends with the block."""
    certificate, secret_key = folder / "certificate.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            *names,
            "-keyout",
            str(secret_key),
            "-out",
            str(certificate),
        ],
        at=folder,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cloud = Cloud(f"https://127.0.0.1:{port}", certificate, folder / "emulator.log")
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "AUTH": "true", "USE_SSL": "1", "MINISTACK_REGION": REGION}
    settings |= {"MINISTACK_SSL_CERT": str(certificate), "MINISTACK_SSL_KEY": str(secret_key), "STATE_DIR": str(folder / "state")}
    settings |= {
        "AWS_ACCESS_KEY_ID": cloud.key,
        "AWS_SECRET_ACCESS_KEY": cloud.secret,
        "DOCKER_HOST": f"unix://{folder}/no-docker",
    }
    with cloud.log.open("w") as log:
        process = subprocess.Popen(
            tool("ministack==1.5.33", "ministack"),
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        _wait(process, cloud)
        yield cloud
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _wait(process: subprocess.Popen, cloud: Cloud) -> None:
    from botocore.exceptions import BotoCoreError

    deadline = time.monotonic() + 300
    while True:
        assert process.poll() is None, cloud.log.read_text()
        assert time.monotonic() < deadline, cloud.log.read_text()
        try:
            cloud.client("sts").get_caller_identity()
        except BotoCoreError:
            time.sleep(0.5)
        else:
            return
