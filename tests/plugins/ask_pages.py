"""Run in a process of its own: a real Airflow API server, asked for pages by several people; every answer is written down.

Usage: python ask_pages.py REQUESTS_JSON RESULT_FILE
REQUESTS_JSON: [[who, method, path], ...], after it the body and the header Origin where they matter; who: "" is nobody,
"forged" brings a token that Airflow did not make.
"""

import json
import sys
from pathlib import Path
from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

from tests.plugins.routes_kit import planted, unguarded

LONGEST = 60_000
ROLES = {"reader": "viewer", "stranger": None, "clerk": "viewer", "labeller": "user"}
OF_THE_CLERK = "retrain_complaints"  # the only DAG that the clerk may see


class AuthManager(SimpleAuthManager):
    """Airflow's simple one, which knows roles but not who may see which DAG, with that difference for one person."""

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        """As in Airflow's own; the clerk's DAG apart."""
        seen = user.username != "clerk" or (details and details.id) == OF_THE_CLERK
        return bool(seen and super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details))


def main(requests: str, result: str) -> None:
    from airflow import plugins_manager
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.utils.db import initdb
    from fastapi.testclient import TestClient
    from retraining import pages

    initdb()
    app = create_app(apps="core")
    people = {name: SimpleAuthManagerUser(username=name, role=role) for name, role in ROLES.items()}
    tokens = {name: get_auth_manager().generate_jwt(user) for name, user in people.items()}
    tokens["forged"] = tokens["reader"][:-8] + "AAAAAAAA"
    answers = []
    with TestClient(app, follow_redirects=False, raise_server_exceptions=False) as client:
        for who, method, path, *more in json.loads(requests):
            headers = {"Authorization": f"Bearer {tokens[who]}"} if who else {}
            body, origin = more or ("", "")
            headers |= {"Origin": origin} if origin else {}
            answer = client.request(method, path, headers=headers, content=body)
            answers.append({"status": answer.status_code, "headers": dict(answer.headers), "text": answer.text[:LONGEST]})
        guard: dict[str, Any] = {"apps": 0, "open": [], "planted": []}
        for about in plugins_manager.get_fastapi_plugins()[0]:  # those that are mounted here
            guard["apps"] += 1
            inside = getattr(about["app"], "_app", None) or about["app"]
            guard["open"] += unguarded(client, inside, about["url_prefix"], tokens["stranger"])
    with TestClient(planted(pages), follow_redirects=False, raise_server_exceptions=False) as client:
        guard["planted"] = [one for one in unguarded(client, client.app, "", tokens["stranger"]) if "/plant" in one]
    routes = [{"path": getattr(one, "path", ""), "methods": sorted(getattr(one, "methods", []))} for one in pages.build().routes]
    mounted = [getattr(one, "path", "") for one in app.routes]
    Path(result).write_text(json.dumps({"answers": answers, "routes": routes, "mounted": mounted, "guard": guard}))


if __name__ == "__main__":
    main(*sys.argv[1:])
