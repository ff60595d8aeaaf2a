"""Who is let in: keys, tokens of a provider, the pipeline's token; and what is remembered while the database is away."""

import base64
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import HTTPException
from typer.testing import CliRunner

from ml import keys, settings
from ml.cli.app import app
from ml.database import migrate
from ml.embedded.processes import free_port
from ml.errors import ConfigError, RefusedError
from ml.serving.access import Access, check
from ml.serving.browsers import is_loopback
from ml.serving.limits import Limits

NOON = datetime(2030, 1, 5, 12, tzinfo=UTC)
NOWHERE = f"postgresql://127.0.0.1:{free_port(0)}/nowhere"


@pytest.fixture(scope="module")
def migrated(database):
    url = database("keys")
    migrate(url)
    return url


@pytest.fixture
def url(migrated):
    keys._execute(migrated, "DELETE FROM api_key")
    return migrated


def settings_of(home, url, **more):
    values = {"SERVING_STATE": str(home), "DATABASE_URL": url, "SERVING_TOKEN": "the pipeline's", **more}
    return settings.read({f"EVERGREEN_{name}": value for name, value in values.items()})


def access_to(home, url, **more) -> Access:
    access = Access(settings_of(home, url, **more))
    access.refresh(provider=True)
    return access


def make(url, *scopes, **more) -> str:
    asked = keys.Asked(client="shop", scopes=scopes or ("predict",), **more)
    return keys.new(url, asked, actor="tests", now=datetime.now(UTC))[1]


def status(access: Access, token: str | None, scope: keys.Scope = "predict") -> int:
    try:
        access.admit(f"Bearer {token}" if token else None, scope)
    except HTTPException as error:
        return error.status_code
    return 200


def test_without_any_key_predictions_are_open_on_the_loopback_only(url, tmp_path):
    assert status(access_to(tmp_path, url), None) == 200
    assert status(access_to(tmp_path, url, SERVING_URL="http://10.0.0.1:8000"), None) == 401
    with pytest.raises(ConfigError, match="no key keeps anybody out"):
        check(settings_of(tmp_path, url, SERVING_URL="http://0.0.0.0:8000"))
    make(url)
    check(settings_of(tmp_path, url, SERVING_URL="http://0.0.0.0:8000"))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("a", False)],
)
def test_loopback_addresses(host, loopback):
    assert is_loopback(host) is loopback


def test_a_key_opens_what_its_scopes_say_and_nothing_else(url, tmp_path):
    asks, moves = make(url), make(url, "deploy")
    access = access_to(tmp_path, url)
    assert [status(access, token) for token in (asks, moves, None, "eg_wrong", asks[:-1])] == [200, 403, 401, 401, 401]
    assert [status(access, token, "deploy") for token in (asks, moves, None, "the pipeline's")] == [403, 200, 401, 200]
    basic = base64.b64encode(f"any:{asks}".encode()).decode()
    assert access.admit(f"Basic {basic}", "predict").name == "shop"


def test_the_table_holds_no_key(url):
    text = make(url)
    held = keys._execute(url, "SELECT string_agg(api_key::text, '') FROM api_key")
    assert text.rpartition("_")[2] not in str(held)


def test_a_revoked_key_is_out_and_revoking_the_last_one_opens_nothing(url, tmp_path):
    token = make(url)
    access = access_to(tmp_path, url)
    assert status(access, token) == 200
    keys.revoke(url, keys.every(url)[0].id, actor="tests", now=NOON)
    access.refresh(provider=False)
    assert (status(access, token), status(access, None)) == (401, 401)
    with pytest.raises(RefusedError, match="lets anybody in"):
        keys.revoke(url, keys.every(url)[0].id, actor="tests", now=NOON)


def test_a_key_expires_though_it_was_just_used(url, tmp_path):
    token = make(url, expires_at=datetime.now(UTC) + timedelta(seconds=1.5))
    access = access_to(tmp_path, url)
    assert status(access, token) == 200
    end = time.monotonic() + 20
    while status(access, token) == 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert status(access, token) == 401


def test_while_the_database_is_away_what_was_known_holds(url, tmp_path):
    token = make(url)
    known = access_to(tmp_path, url)
    copy = next(tmp_path.rglob("keys.json"))
    assert token.rpartition("_")[2] not in copy.read_text()
    away = settings_of(tmp_path, NOWHERE)
    away.spool.mkdir(parents=True)
    copy.rename(away.spool / copy.name)
    started = access_to(tmp_path, NOWHERE)
    assert (status(known, token), status(started, token), status(started, None)) == (200, 200, 401)
    assert "away" in started.complaint


def test_who_knows_of_no_keys_lets_nobody_in(tmp_path):
    access = access_to(tmp_path, NOWHERE)
    assert status(access, None) == 503
    assert status(access, "the pipeline's", "deploy") == 200


def test_too_many_requests_are_told_when_to_come_back(url, tmp_path):
    token = make(url, per_minute=60)
    access = access_to(tmp_path, url)
    assert [status(access, token) for _ in range(10)] == [200] * 10
    with pytest.raises(HTTPException) as refused:
        access.admit(f"Bearer {token}", "predict")
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "1"})


def test_processes_share_a_limit_and_it_refills(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    first, second = Limits(tmp_path), Limits(tmp_path)
    assert [one.wait_s("c", 60) for one in (first, second) * 5] == [0.0] * 10
    assert 0 < first.wait_s("c", 60) <= 1
    clock[0] += 2
    assert [one.wait_s("c", 60) for one in (first, second)] == [0.0] * 2
    assert second.wait_s("c", 60) > 0
    clock[0] = 5.0  # the machine was started again
    assert first.wait_s("c", 60) == 0.0


@pytest.fixture(scope="module")
def provider():
    """An identity provider as far as its documents go, and how to sign as it does."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())) | {"kid": "one", "alg": "RS256", "use": "sig"}

    class Documents(BaseHTTPRequestHandler):
        def do_GET(self):
            here = f"http://127.0.0.1:{server.server_port}"
            found = {"keys": [public]} if self.path == "/keys" else {"jwks_uri": f"{here}/keys", "issuer": here}
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Documents)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    issuer = f"http://127.0.0.1:{server.server_port}"
    good = {"iss": issuer, "aud": "evergreen", "sub": "app-7", "scope": "email predict"}

    def sign(key=private, algorithm="RS256", **changed):
        claims = {name: value for name, value in {**good, "exp": time.time() + 600, **changed}.items() if value is not None}
        return jwt.encode(claims, key, algorithm, headers={"kid": "one"})

    yield issuer, sign
    server.shutdown()
    thread.join()
    server.server_close()


def test_tokens_of_the_provider_are_let_in_and_forged_ones_are_not(url, tmp_path, provider):
    issuer, sign = provider
    access = access_to(tmp_path, url, OIDC_ISSUER=issuer, OIDC_AUDIENCE="evergreen")
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert access.admit(f"Bearer {sign()}", "predict").name == "app-7"
    assert status(access, sign(), "deploy") == 403
    forged = [
        sign(other), sign(aud="another"), sign(iss="http://elsewhere"), sign(exp=time.time() - 60), sign(exp=None),
        sign(sub=None), sign("x" * 32, "HS256"), sign(None, "none"), "a.b.c", "",
    ]  # fmt: skip
    assert [status(access, token) for token in forged] == [401] * len(forged)


def test_the_provider_may_be_away_at_the_start(url, tmp_path, provider):
    issuer, sign = provider
    access_to(tmp_path, url, OIDC_ISSUER=issuer, OIDC_AUDIENCE="evergreen")
    away = access_to(tmp_path, url, OIDC_ISSUER=issuer + "/away", OIDC_AUDIENCE="evergreen")
    assert status(away, sign(iss=issuer + "/away")) == 200


def test_an_issuer_without_an_audience_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="AUDIENCE"):
        check(settings_of(tmp_path, NOWHERE, OIDC_ISSUER="http://x"))


def test_keys_are_made_listed_and_revoked_at_the_command_line(url, tmp_path):
    def told(*arguments):
        done = CliRunner().invoke(app, ["keys", *arguments, "--json"], env={"EVERGREEN_DATABASE_URL": url})
        assert done.exit_code == 0, done.output
        return json.loads(done.output)

    made = told("new", "shop", "--scope", "predict", "--scope", "deploy", "--per-minute", "600", "--days", "30")
    assert access_to(tmp_path, url).admit(f"Bearer {made['key']}", "deploy").per_minute == 600
    assert told("revoke", made["id"])["revoked_at"]
    listed = told("list")
    assert [(one["id"], one["client"], one["scopes"], one["holds"]) for one in listed] == [
        (made["id"], "shop", "predict deploy", "no")
    ]
    assert made["key"].rpartition("_")[2] not in json.dumps(listed)
