"""What others on the network, and pages in somebody's browser, can try on the service and its settings."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fastapi import HTTPException

from ml import settings
from ml.deploy.service import PredictionService
from ml.embedded import environment, secrets
from ml.embedded.airflow import Airflow
from ml.embedded.environment import Addresses, Ports
from ml.embedded.postgres import Postgres
from ml.errors import ConfigError, TransientError
from ml.serving.browsers import refuse_foreign
from ml.serving.edge import Edge
from ml.serving.oidc import Oidc

OWN, EVIL = "127.0.0.1:8000", "https://evil.example"


@pytest.mark.parametrize(
    ("method", "host", "origin", "unlocked", "let_in"),
    [
        ("POST", OWN, "", True, True),  # a program
        ("POST", OWN, f"http://{OWN}", True, True),  # the service's own page
        ("POST", OWN, EVIL, True, False),  # a form on somebody's page
        ("POST", OWN, EVIL, False, False),  # the same where the browser adds a password
        ("POST", OWN, "null", True, False),  # a frame that hides where it is from
        ("PUT", OWN, f"http://{OWN}.evil.example", False, False),
        ("POST", OWN, "http://127.0.0.1:9999", False, False),  # another program of this machine
        ("POST", OWN, "http://[", False, False),
        ("GET", OWN, EVIL, False, True),  # changes nothing, and the page cannot read the answer
        ("GET", "evil.example:8000", "", True, False),  # a name that was led here, by which it could
        ("POST", "evil.example:8000", "http://evil.example:8000", True, False),
        ("GET", "localhost:8000", "", True, True),
        ("GET", "[::1]:8000", "", True, True),
        ("GET", "[", "", True, False),
        ("GET", "", "", True, True),  # HTTP/1.0, no browser
        ("GET", "evergreen.example", "", False, True),  # a key is asked for next
        ("POST", "evergreen.example", "https://evergreen.example", False, True),
    ],
)
def test_a_page_of_somebody_else_cannot_ask_through_a_browser(method, host, origin, unlocked, let_in):
    if let_in:
        refuse_foreign(method, host=host, origin=origin, unlocked=unlocked)
        return
    with pytest.raises(HTTPException) as refused:
        refuse_foreign(method, host=host, origin=origin, unlocked=unlocked)
    assert refused.value.status_code == 403


class Everybody:
    open = True

    def admit(self, *_):
        pass


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": []})


@pytest.mark.parametrize(("origin", "status"), [(b"https://evil.example", 403), (b"http://127.0.0.1:8000", 204)])
def test_the_edge_asks_it_of_every_request(origin, status):
    import asyncio

    told = []

    async def send(message):
        told.append(message.get("status"))

    scope = {"type": "http", "method": "POST", "path": "/problems/flights/feedback"}
    headers = [(b"host", OWN.encode()), (b"origin", origin)]
    asyncio.run(Edge(answer, Everybody())({**scope, "headers": headers}, None, send))  # type: ignore[arg-type]
    assert told[0] == status


@pytest.fixture
def provider():
    """An identity provider that answers what its `told` says; its address is the issuer."""
    told = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, content = told.get(self.path, (404, {}))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", content)
            body = json.dumps(content).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    thread.join()
    server.server_close()


ABOUT = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    "answers",
    [
        {ABOUT: (200, {"jwks_uri": "http://evil.example/keys"})},
        {ABOUT: (200, {"jwks_uri": "file:///etc/passwd"})},
        {ABOUT: (302, "/elsewhere"), "/elsewhere": (200, {"jwks_uri": "{issuer}/keys"}), "/keys": (200, {"keys": []})},
        {ABOUT: (200, {"jwks_uri": "{issuer}/keys"}), "/keys": (302, "/elsewhere"), "/elsewhere": (200, {"keys": []})},
    ],
    ids=["in the clear", "a file", "led elsewhere", "keys led elsewhere"],
)
def test_the_keys_of_the_provider_come_from_the_provider_over_tls(provider, tmp_path, answers):
    """On this machine plain http is let through: nobody stands between."""
    issuer, told = provider
    told |= json.loads(json.dumps(answers).replace("{issuer}", issuer))
    with pytest.raises(TransientError, match="does not tell its keys"):
        Oidc(issuer, "evergreen", tmp_path / "copy.json").refresh()
    assert not (tmp_path / "copy.json").exists()


def test_an_issuer_in_the_clear_is_never_asked(tmp_path):
    with pytest.raises(TransientError, match="is no https address"):
        Oidc("http://provider.example", "evergreen", tmp_path / "copy.json").refresh()


PLANTED = "PLANTED-5f1c0de"


def test_nothing_that_holds_a_secret_shows_it():
    """A traceback, a log line or a failing test prints objects."""
    read = settings.read(
        {
            "EVERGREEN_DATABASE_URL": f"postgresql://me:{PLANTED}@db/evergreen",
            "EVERGREEN_SOURCE_URL": f"postgresql://me:{PLANTED}@db/production",
            "EVERGREEN_SERVING_TOKEN": PLANTED,
        }
    )
    held = [
        read,
        PredictionService("http://127.0.0.1:8000", PLANTED, "flights"),
        Airflow("http://127.0.0.1:8080", "admin", PLANTED),
        Postgres(read.cache, 5432, {"postgres": PLANTED}),
        Addresses(*[f"postgresql://me:{PLANTED}@db/x"] * 4),
        secrets.Secrets(*[PLANTED] * 8),
    ]
    assert [type(one).__name__ for one in held if PLANTED in f"{one!r} {one}"] == []


@pytest.mark.parametrize("name", ["MLFLOW_URL", "SERVING_URL"])
@pytest.mark.parametrize("url", [f"http://me:{PLANTED}@host:5000", f"https://{PLANTED}@host/path"])
def test_an_address_that_becomes_a_link_holds_no_password(name, url):
    with pytest.raises(ConfigError, match="holds a user or password") as refused:
        settings.read({f"EVERGREEN_{name}": url})
    assert PLANTED not in str(refused.value)


def test_every_part_of_the_embedded_stack_binds_the_loopback(tmp_path):
    """A demo on a laptop in a café is nobody else's."""
    ports = Ports(airflow=1, mlflow=2, serving=3, postgres=4)
    made = secrets.Secrets(*["x"] * 8)
    addresses = Addresses(*["postgresql://me:x@127.0.0.1/x"] * 4)
    told = environment.airflow(tmp_path, ports, addresses, made) | environment.mlflow(tmp_path, ports, addresses)
    told |= environment.evergreen(tmp_path, ports, addresses, made, problems=tmp_path, expectations=tmp_path)
    assert told["AIRFLOW__API__HOST"] == told["MLFLOW_HOST"] == "127.0.0.1"
    for name in ("EVERGREEN_SERVING_URL", "EVERGREEN_MLFLOW_URL", "AIRFLOW__API__BASE_URL"):
        assert told[name].startswith("http://127.0.0.1:")
    assert "0.0.0.0" not in " ".join(told.values())


def test_secrets_are_made_anew_and_for_their_owner_alone(tmp_path):
    one, other = (secrets.read(tmp_path / name / "secrets.json") for name in ("a", "b"))
    assert not set(vars(one).values()) & set(vars(other).values()) and len(set(vars(one).values())) == 8
    assert all(len(value) >= 16 for value in vars(one).values())
    assert (tmp_path / "a" / "secrets.json").stat().st_mode & 0o077 == 0
    assert secrets.read(tmp_path / "a" / "secrets.json") == one
