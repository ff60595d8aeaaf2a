"""Secrets are random, made once, private, and never shown by accident."""

import json

import pytest

from ml.embedded import secrets
from ml.errors import ConfigError


def test_secrets_are_made_once(tmp_path):
    assert secrets.read(tmp_path / "secrets.json") == secrets.read(tmp_path / "secrets.json")


def test_every_secret_is_its_own_and_long(tmp_path):
    values = list(vars(secrets.read(tmp_path / "a.json")).values()) + list(vars(secrets.read(tmp_path / "b.json")).values())
    assert len(set(values)) == len(values)
    assert min(map(len, values)) >= 16


def test_only_the_owner_may_read_them(tmp_path):
    secrets.read(tmp_path / "secrets.json")
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_printing_them_shows_none(tmp_path):
    found = secrets.read(tmp_path / "secrets.json")
    assert not [value for value in vars(found).values() if value in f"{found!r} {found}"]


def test_the_fernet_key_is_one(tmp_path):
    from cryptography.fernet import Fernet

    Fernet(secrets.read(tmp_path / "secrets.json").fernet_key)


def test_a_file_that_lacks_one_is_refused_with_its_name(tmp_path):
    path = tmp_path / "secrets.json"
    secrets.read(path)
    content = json.loads(path.read_text())
    del content["jwt_secret"]
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="jwt_secret"):
        secrets.read(path)
