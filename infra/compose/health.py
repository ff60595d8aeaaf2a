"""Is this container's program well? For the healthchecks: light, because each is asked every few seconds.

`health.py URL` wants any good answer; `health.py URL PART` wants Airflow's own word that the part is healthy; `health.py worker`
wants this container's Celery worker to answer over the broker.
"""

import json
import os
import socket
import sys
import urllib.request


def main(what: str, part: str = "") -> bool:
    """Whether it is well."""
    if what == "worker":
        return _worker_answers()
    with urllib.request.urlopen(what, timeout=8) as answer:  # noqa: S310
        return not part or json.load(answer)[part]["status"] == "healthy"


def _worker_answers() -> bool:
    from celery import Celery

    name = f"celery@{socket.gethostname()}"
    app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"], broker_connection_timeout=5)
    return bool(app.control.ping(destination=[name], timeout=8))


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)
