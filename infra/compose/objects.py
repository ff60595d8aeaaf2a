"""`objects.py save|load BUCKET`, in a container: a bucket as a tar stream on standard output, or from standard input into it."""

import sys
import tarfile
from pathlib import Path
from typing import Any

SECRET = Path("/run/secrets/s3_admin_secret")


def save(client: Any, bucket: str) -> None:
    """Every object, in the order of the keys; one is in memory at a time."""
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as archive:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for found in page.get("Contents", ()):
                entry = tarfile.TarInfo(found["Key"])
                # not the listing's size: what is read now is one whole object even if it was replaced meanwhile
                answer = client.get_object(Bucket=bucket, Key=found["Key"])
                entry.size = answer["ContentLength"]
                archive.addfile(entry, answer["Body"])


def load(client: Any, bucket: str) -> None:
    """Put every object of the stream into the bucket."""
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for entry in archive:
            body = archive.extractfile(entry)
            client.put_object(Bucket=bucket, Key=entry.name, Body=b"" if body is None else body.read())


def main(act: str, bucket: str) -> None:
    """Do it as the store's administrator."""
    import boto3

    client = boto3.client("s3", aws_access_key_id="admin", aws_secret_access_key=SECRET.read_text())
    {"save": save, "load": load}[act](client, bucket)


if __name__ == "__main__":
    main(*sys.argv[1:])
