"""Settings come from the environment once, and a misspelt one is an error."""

from datetime import UTC, datetime

import pytest

from ml import settings
from ml.errors import ConfigError


def test_defaults_and_overrides():
    assert settings.read({"EVERGREEN_STORE": "/data", "HOME": "/x"}).store == "/data"


def test_an_unknown_setting_is_named():
    with pytest.raises(ConfigError, match=r"Unknown setting EVERGREEN_STOR\. Known: .*EVERGREEN_STORE"):
        settings.read({"EVERGREEN_STOR": "/data"})


def test_every_setting_stands_in_the_example_file():
    text = (settings.PROJECT / ".env.example").read_text()
    assert [name for name in settings.DEFAULTS if f"EVERGREEN_{name.upper()}" not in text] == []


def test_clock_file_sets_the_time(tmp_path):
    clock = tmp_path / "clock"
    one = settings.read({"EVERGREEN_CLOCK_FILE": str(clock)})
    assert abs((one.now() - datetime.now(UTC)).total_seconds()) < 5
    clock.write_text("2013-02-01T03:00:00-05:00")
    assert one.now() == datetime(2013, 2, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize("text", ["tomorrow", "2013-02-01T03:00:00", ""])
def test_a_clock_that_tells_no_time_is_an_error(tmp_path, text):
    (tmp_path / "clock").write_text(text)
    with pytest.raises(ConfigError, match="clock"):
        settings.read({"EVERGREEN_CLOCK_FILE": str(tmp_path / "clock")}).now()
