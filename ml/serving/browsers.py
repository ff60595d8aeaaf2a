"""What a page that somebody opened must not do through that person's browser: ask a service that only this machine reaches, or
one to which the browser adds a password by itself.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import HTTPException

READING = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach an address."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_foreign(method: str, *, host: str, origin: str, unlocked: bool) -> None:
    """Browsers say in `Origin` on whose page a request began, and in `Host` by which name they found the service.

    Args:
        unlocked: nobody needs a key, because only programs of this machine reach the service. Then a name that is none of this
            machine's is a stranger's, who let it lead here (DNS rebinding); he could read the answers.
    Raises: HTTPException: 403.
    """
    if origin and method not in READING and _netloc(origin) != host:
        raise HTTPException(
            403, "The request began on a page of another address. Ask from a page of the service; a proxy must pass Host on."
        )
    if unlocked and host and not is_loopback(_name(host)):
        raise HTTPException(403, "Without keys the service answers to names of this machine only. Make a key, or ask 127.0.0.1.")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
