"""Problem files: strict, with errors that name the key and the nearest valid one."""

from pathlib import Path

import pytest

from ml import problem as problems
from ml.errors import ConfigError
from ml.settings import PROJECT

FOLDER = PROJECT / "ml" / "problems"
TEXT = (FOLDER / "flights.toml").read_text()


def write(folder: Path, text: str, name: str = "flights") -> Path:
    (folder / f"{name}.toml").write_text(text)
    return folder


@pytest.mark.parametrize("name", problems.names(FOLDER))
def test_shipped_problems_are_right(name):
    assert problems.load(name, FOLDER).name == name


def test_at_least_the_default_and_the_reference_are_shipped():
    assert {"flights", "complaints"} <= set(problems.names(FOLDER))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[gate]", "[gate]\nconfidnce = 0.9", r"unknown key 'gate.confidnce'. Did you mean 'confidence'\?"),
        ("[split]", "[splt]", r"unknown key 'splt'. Did you mean 'split'\?"),
        ('carrier = { type = "category" }', 'carrier = { typ = "category" }', r"features.carrier.typ'. Did you mean 'type'"),
        ('task = "binary"', 'task = "binry"', "'binry'"),
        ('table = "flights"', "", "kind = 'postgres' needs 'table' and no 'pattern'"),
        ('table = "flights"', 'pattern = "x/*.csv"', "needs 'table' and no 'pattern'"),
        ('table = "flights"', 'kind = "s3"\ntable = "flights"', "kind = 's3' needs 'pattern' and no 'table'"),
        ('table = "flights"', 'kind = "s3"\npattern = "/x/*.csv"', r"source.pattern: '/x/\*.csv' must begin with 's3://'"),
        ('table = "flights"', 'kind = "files"\npattern = "x/*.csv"', r"source.pattern: 'x/\*.csv' must begin with '/'"),
        ('table = "flights"', 'table = "flights; DROP TABLE x"', "source.table"),
        ('key = "flight_id"', "key = 5", "source.key = 5"),
        ("[leakage]", '[leakage]\ncarrier = "knows it"', "features.carrier: the column is the label or named under"),
        ('slices = ["origin"', 'slices = ["orgin"', "'orgin' is not one of the features"),
        ("[features]", '[features]\nkey = { type = "number" }', "features.key: this name is taken"),
        ("[features]", '[features]\n_day = { type = "number" }', "features._day: this name is taken"),
        ("floors = { auc", "floors = { acu", "gate.floors.acu"),
        ('timezone = "America/New_York"', 'timezone = "America/Nowhere"', "'America/Nowhere' is no IANA time zone"),
        ("[leakage]", '[privacy]\nsubject = "carrier"\n[leakage]', "privacy.subject: 'carrier' must name a person"),
        ("[leakage]", '[privacy]\nsubject = "late_15"\n[leakage]', "privacy.subject: 'late_15' must name a person"),
        ("[leakage]", '[privacy]\nredact = { carier = "hash" }\n[leakage]', "privacy.redact: 'carier' cannot be redacted"),
        ("[leakage]", '[privacy]\nredact = { late_15 = "remove" }\n[leakage]', "privacy.redact: 'late_15' cannot be redacted"),
        ("[leakage]", '[privacy]\nredact = { distance = "hash" }\n[leakage]', "distance = 'hash' does not fit a number column"),
        ("[leakage]", '[privacy]\nredact = { flight_id = "remove" }\n[leakage]', "'remove' does not fit a key column"),
        ("[leakage]", '[privacy]\nredact = { carrier = "blur" }\n[leakage]', "privacy.redact.carrier = 'blur'"),
        ("[success]", '[success]\nmust_beat = ["logistic"]', "success.must_beat.0 = 'logistic'"),
        ("[success]", "[success]\nmust_beat = []", "success.must_beat"),
        ("[success]", '[success]\nmust_beat = ["last"]', "write entity = "),
        ("[success]", '[success]\nbeside = ["median"]', "'median' is for labels that are numbers"),
        ("[success]", '[success]\nentity = ["tail"]', "success.entity: 'tail' is not one of the features"),
        ("[problem]", "[problem", "not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(tmp_path, old, new, message):
    assert old in TEXT
    with pytest.raises(ConfigError, match=message):
        problems.load("flights", write(tmp_path, TEXT.replace(old, new, 1)))


def test_unknown_problem_names_the_nearest():
    with pytest.raises(ConfigError, match=r"Unknown problem 'fligths'.*Did you mean 'flights'\? Known: .*flights"):
        problems.load("fligths", FOLDER)


def test_a_file_is_called_like_its_problem(tmp_path):
    with pytest.raises(ConfigError, match=r"must be called flights.toml"):
        problems.load("other", write(tmp_path, TEXT, "other"))


def test_a_file_anywhere_loads_by_its_path(tmp_path):
    assert problems.load(str(write(tmp_path, TEXT) / "flights.toml"), FOLDER).name == "flights"


def test_defaults_of_the_gate_block():
    gate = problems.Gate()
    assert gate.non_inferiority_margin is None
    assert gate.minimum_gain >= 0
    assert gate.baseline_margin == 0
    assert gate.approval == "manual"
