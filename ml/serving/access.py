"""Who may do what."""

import hmac
from collections.abc import Mapping

from fastapi import HTTPException

from ml.settings import Settings


class Access:
    """Predictions are open; moving a version needs the token."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.serving_token

    def authorise(self, headers: Mapping[str, str]) -> None:
        """Let pass only who has the token.

        Raises: HTTPException: 401 for a missing or wrong one, 403 when none is configured.
        """
        if not self._token:
            raise HTTPException(403, "No token is configured, so this is switched off. Set EVERGREEN_SERVING_TOKEN and restart.")
        given = headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            raise HTTPException(401, "Send the header 'Authorization: Bearer TOKEN' with the value of EVERGREEN_SERVING_TOKEN.")
