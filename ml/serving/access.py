"""Who may do what: API keys, tokens of an identity provider, and the pipeline's own token."""

import hmac
import json
import logging
import math
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import HTTPException

from ml import keys
from ml.errors import ConfigError, EvergreenError
from ml.keys import Key, Scope
from ml.serving.browsers import is_loopback
from ml.serving.limits import Limits
from ml.serving.oidc import Oidc, scopes_of
from ml.settings import Settings

logger = logging.getLogger("uvicorn.error")
REFRESH_S = 5.0  # a key that is made or revoked is known after this
PROVIDER_S = 300.0
MOST_CACHED = 10_000


@dataclass(frozen=True)
class Client:
    """Who asks."""

    name: str
    scopes: tuple[str, ...]
    key_id: str = ""
    per_minute: int | None = None
    until: float = math.inf  # moment, in seconds since 1970, after which the token must be looked at again


ANYBODY = Client("anybody", ("predict", "feedback"))
PIPELINE = Client("pipeline", ("predict", "feedback", "deploy"))
DOING: dict[Scope, str] = {"predict": "predict", "feedback": "give feedback", "deploy": "deploy"}


class Access:
    """Lets in who may; what is known of keys is kept in a file, for starts without the database.

    Open, that is predictions and feedback for whoever reaches the port, only where all of this holds: the address is of the
    loopback, no key was ever made, no identity provider is set. Changing versions always takes a token or key that may.
    """

    def __init__(self, settings: Settings) -> None:
        self.complaint = ""
        self._settings = settings
        self._loopback = is_loopback(_host(settings))
        self._copy = settings.spool / "keys.json"
        self._limits = Limits(settings.serving_state / "limits")
        self._oidc: Oidc | None = None
        if settings.oidc_issuer:
            self._copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._oidc = Oidc(settings.oidc_issuer, settings.oidc_audience, self._copy.with_name("provider.json"))
        self._keys = self._copied()
        self._by_digest: dict[str, Key] = {key.digest: key for key in self._keys or ()}
        self._cache: dict[str, Client] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="access", daemon=True)

    @property
    def open(self) -> bool:
        """Whether predictions need no key."""
        return self._loopback and not self._keys and self._keys is not None and self._oidc is None

    def start(self) -> None:
        """Ask the database and the provider once, then again and again in the background."""
        self.refresh(provider=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def admit(self, authorization: str | None, scope: Scope) -> Client:
        """Who asks, by the value of the header Authorization.

        Raises: HTTPException: 401 for a missing or unknown key, 403 for one that does not allow this, 429 for too many
            requests, with Retry-After; 503 while nobody knows what keys there are.
        """
        if scope != "deploy" and self.open:
            return ANYBODY
        client = self._cache.get(authorization or "")
        if client is None or time.time() > client.until:
            client = self._known(authorization or "", scope)
        if scope not in client.scopes:
            raise HTTPException(
                403, f"The key of {client.name!r} does not allow to {DOING[scope]}. Ask for one with the scope {scope!r}."
            )
        if client.per_minute and (wait_s := self._limits.wait_s(client.key_id, client.per_minute)):
            told = f"{client.name!r} may send {client.per_minute} requests a minute. Wait {wait_s:.1f} s, then go on."
            raise HTTPException(429, told, headers={"Retry-After": str(math.ceil(wait_s))})
        return client

    def authorise(self, headers: Mapping[str, str]) -> None:
        """Let pass only who may change what serves.

        Raises: HTTPException: as `admit`.
        """
        self.admit(headers.get("authorization"), "deploy")

    def about(self) -> dict[str, Any]:
        """For /health: whether predictions are open, and how many keys and providers let somebody in."""
        now = self._settings.now()
        return {
            "predictions": "open to whoever reaches the loopback address" if self.open else "with a key",
            "keys": sum(key.holds(now) for key in self._keys or ()),
            "provider": self._settings.oidc_issuer or None,
        }

    def _known(self, authorization: str, scope: Scope) -> Client:
        token = _token(authorization)
        pipeline = self._settings.serving_token
        if pipeline and hmac.compare_digest(token.encode(), pipeline.encode()):
            client: Client | None = PIPELINE
        else:
            client = self._by_key(token) if token.startswith(keys.PREFIX) else self._by_provider(token)
        if client is None:
            raise self._unknown(scope)
        if len(self._cache) >= MOST_CACHED:
            self._cache.clear()
        self._cache[authorization] = client
        return client

    def _by_key(self, token: str) -> Client | None:
        key = self._by_digest.get(keys.digest(token))
        if key is None or not key.holds(now := self._settings.now()):
            return None
        until = time.time() + (key.expires_at - now).total_seconds() if key.expires_at else math.inf
        return Client(key.client, key.scopes, key.id, key.per_minute, until)

    def _by_provider(self, token: str) -> Client | None:
        claims = self._oidc.claims(token) if self._oidc and token.count(".") == 2 else None
        return Client(str(claims["sub"]), scopes_of(claims), until=float(claims["exp"])) if claims else None

    def _unknown(self, scope: Scope) -> HTTPException:
        if self._keys is None and self._oidc is None:
            return HTTPException(503, "What keys there are is not known yet: the database is away.", headers={"Retry-After": "5"})
        if scope == "deploy" and self.open and not self._settings.serving_token:
            return HTTPException(403, "No token is configured, so this is switched off. Set EVERGREEN_SERVING_TOKEN and restart.")
        whose = "a key that deploys, or the value of EVERGREEN_SERVING_TOKEN" if scope == "deploy" else "a key of yours"
        told = f"Send the header 'Authorization: Bearer KEY' with {whose}."
        return HTTPException(401, told, headers={"WWW-Authenticate": 'Bearer, Basic realm="key as password"'})

    def _keep(self) -> None:
        asked_at = time.monotonic()
        while not self._stop.wait(REFRESH_S):
            provider = time.monotonic() - asked_at > PROVIDER_S or (self._oidc is not None and self._oidc.unknown.is_set())
            asked_at = time.monotonic() if provider else asked_at
            self.refresh(provider=provider)

    def refresh(self, *, provider: bool) -> None:
        """Ask the database, and if wanted the provider; what cannot be asked is told in `complaint`."""
        told = [self._told(self._ask_database)]
        if provider and self._oidc:
            told.append(self._told(self._oidc.refresh))
        complaint = " ".join(filter(None, told))
        if complaint and complaint != self.complaint:
            logger.warning("access goes on with what was known: %s", complaint)
        self.complaint = complaint

    def _told(self, ask: Callable[[], None]) -> str:
        try:
            ask()
        except (EvergreenError, OSError) as error:
            return str(error)
        return ""

    def _ask_database(self) -> None:
        found = keys.every(self._settings.database_url)
        if found != self._keys:
            self._keys = found
            self._by_digest = {key.digest: key for key in found}
            self._cache.clear()
            self._copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            scratch = self._copy.with_name(f"{self._copy.name}.{threading.get_native_id()}")
            scratch.write_text(json.dumps([key.model_dump(mode="json") for key in found]))
            scratch.chmod(0o600)
            scratch.replace(self._copy)

    def _copied(self) -> list[Key] | None:
        try:
            return [Key.model_validate(one) for one in json.loads(self._copy.read_text())]
        except FileNotFoundError:
            return None
        except ValueError as error:
            logger.warning("the copy of the keys, %s, is unreadable: %s", self._copy, error)
            return None


def _token(authorization: str) -> str:
    """The key in a header; a browser sends it as the password of Basic, so that a person can open the pages."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value
    if kind.lower() != "basic":
        return ""
    try:
        return b64decode(value).decode().partition(":")[2]
    except ValueError:
        return ""


def _host(settings: Settings) -> str:
    return urlsplit(settings.serving_url).hostname or ""


def check(settings: Settings) -> None:
    """Call it before the address is bound.

    Raises: ConfigError: others can reach the address, and neither a key nor an identity provider keeps anybody out.
    """
    if settings.oidc_issuer and not settings.oidc_audience:
        raise ConfigError("EVERGREEN_OIDC_ISSUER is set and EVERGREEN_OIDC_AUDIENCE is not. Name whom the tokens must be for.")
    if is_loopback(_host(settings)) or settings.oidc_issuer:
        return
    access = Access(settings)
    access.refresh(provider=False)
    if not access.about()["keys"]:
        raise ConfigError(
            f"{_host(settings)} can be reached from other machines, and no key keeps anybody out. Make one with "
            f"`python -m ml keys new CLIENT`, or set EVERGREEN_OIDC_ISSUER, or bind 127.0.0.1. {access.complaint}".strip()
        )
