"""The licence of every locked package as its own metadata say; `python -m tests.security.licences FILE` writes them down."""

import csv
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ml.settings import PROJECT

LOCK = PROJECT / "requirements.txt"
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)

# Permissive: use, change and pass on, with the notice. LGPL and MPL bind changes of their own files; we change none and import
# them as they come, so they bind nobody who uses Evergreen. GPL, AGPL, SSPL and licences for non-commercial use are not allowed.
ALLOWED = """
    MIT|MIT License|MIT-0|MIT-CMU|Apache-2.0|Apache License 2.0|Apache Software License|BSD License|3-Clause BSD License
    BSD-2-Clause|BSD-3-Clause|0BSD|ISC|ISC License (ISCL)|Zlib|PSF-2.0|Python Software Foundation License|CNRI-Python
    Unlicense|The Unlicense (Unlicense)|CC0|CC0-1.0|TCL|Artistic License
    MPL-2.0|Mozilla Public License 2.0 (MPL 2.0)|LGPL-3.0-only|LGPL-2.1-or-later
    GNU Library or Lesser General Public License (LGPL)|GNU Lesser General Public License v2 or later (LGPLv2+)
"""
PERMITTED = {name.strip() for name in ALLOWED.replace("\n", "|").split("|")} - {""}
# what the metadata leave open, with where it was looked up
KNOWN = {
    "huey": "MIT",  # LICENSE of its repository
    "namex": "Apache-2.0",  # of Keras, LICENSE of its repository
    "prv-accountant": "MIT",  # LICENSE of its repository
    "skops": "MIT",  # LICENSE in its wheel
    "text-unidecode": "Artistic License",  # or GPL, as one likes
}


class Licence(NamedTuple):
    """A package of the lock, with its licence in words."""

    name: str
    version: str
    licence: str

    @property
    def allowed(self) -> bool:
        """Whether one may take it: of several joined by OR one is enough, of AND all."""
        choices = re.split(r"\s+OR\s+", self.licence)
        each = (re.split(r"\s+AND\s+", re.sub(r"^\((.*)\)$", r"\1", choice)) for choice in choices)
        return any(all(part in PERMITTED for part in parts) for parts in each)


def licences() -> Iterator[Licence]:
    """Of all packages of the lock that are installed here; those of other systems are left out."""
    for name, version in PINNED.findall(LOCK.read_text()):
        try:
            about = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        yield Licence(name, version, KNOWN.get(name) or _told(about))


def _told(about: importlib.metadata.PackageMetadata) -> str:
    def said(field: str) -> list[str]:
        return [str(one) for one in about.get_all(field) or []]

    classes = [one.rpartition("::")[2].strip() for one in said("Classifier") if one.startswith("License ::")]
    plain = [one.strip().partition("\n")[0] for one in said("License")]
    return next(iter(said("License-Expression")), "") or " OR ".join(classes) or next(iter(plain), "unknown")


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Licence._fields)
        writer.writerows(licences())
