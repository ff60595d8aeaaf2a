"""Who meets the challenger."""

from hashlib import blake2b

BITS = 64


def place(salt: str, entity: str) -> float:
    """Where an entity stands between 0 and 1, always at the same place for one salt, evenly spread over entities.

    The challenger answers those below its share, so whoever met it at 5 % meets it at 25 % too, and another salt
    divides them anew: nobody is always among the first.
    """
    digest = blake2b(f"{salt}\0{entity}".encode("utf-8", "surrogatepass"), digest_size=BITS // 8).digest()
    return float(int.from_bytes(digest, "big") / 2**BITS)
