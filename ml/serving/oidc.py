"""Bearer tokens of an OpenID Connect provider: signature, issuer, audience and time are checked, scopes read."""

import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from ml.errors import TransientError
from ml.serving.browsers import is_loopback

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")  # never a shared secret or none
LEEWAY_S = 30
TIMEOUT_S = 10.0


class Oidc:
    """What the provider signs with, and a copy of it on disk for starts without the provider."""

    def __init__(self, issuer: str, audience: str, copy: Path) -> None:
        self._issuer, self._audience, self._copy = issuer, audience, copy
        self._keys: dict[str, jwt.PyJWK] = {}
        self.unknown = threading.Event()  # set when a token was signed with a key that is not here yet
        if copy.exists():
            self._take(json.loads(copy.read_text()))

    def claims(self, token: str) -> dict[str, Any] | None:
        """What the token says; None when it is not to be trusted."""
        try:
            name = jwt.get_unverified_header(token).get("kid", "")
            if (key := self._keys.get(name)) is None:
                self.unknown.set()
                return None
            return jwt.decode(
                token,
                key,
                algorithms=[name for name in ALGORITHMS if name == key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError:
            return None

    def refresh(self) -> None:
        """Ask the provider for its keys.

        Raises: TransientError: it does not answer as a provider does.
        """
        self.unknown.clear()
        try:
            with httpx.Client(timeout=TIMEOUT_S) as client:  # redirects are not followed: they could lead anywhere
                told = client.get(_safe(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"))
                found = client.get(_safe(told.raise_for_status().json()["jwks_uri"])).raise_for_status().json()
            self._take(found)
        except (httpx.HTTPError, ValueError, KeyError, jwt.PyJWTError) as error:
            raise TransientError(f"The identity provider {self._issuer} does not tell its keys: {error}") from error
        scratch = self._copy.with_suffix(".writing")
        scratch.write_text(json.dumps(found))
        scratch.replace(self._copy)

    def _take(self, found: dict[str, Any]) -> None:
        self._keys = {key.key_id or "": key for key in jwt.PyJWKSet.from_dict(found).keys}


def _safe(url: str) -> str:
    """Whoever can change the keys on their way can sign any token.

    Raises: ValueError: neither https nor this machine.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ValueError(f"{url} is no https address")
    return url


def scopes_of(claims: dict[str, Any]) -> tuple[str, ...]:
    """Scopes of a token: `scope` with blanks between (RFC 8693), or a list in `scp` or `roles`, as some providers have it."""
    said = claims.get("scope", claims.get("scp", claims.get("roles", "")))
    return tuple(said.split()) if isinstance(said, str) else tuple(str(one) for one in said)
