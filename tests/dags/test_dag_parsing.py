"""What the dag processor finds: the right DAGs, no errors, light and fast, and one bad file harms no other."""

import ast
import sys
from pathlib import Path

import pytest

from tests.dags.conftest import PROJECT, Parse, write_problems

KINDS = ("retrain", "promote", "deploy", "monitor", "feedback", "housekeeping", "backtest", "alerts")
HEAVY = {
    *("tensorflow", "keras", "mlflow", "pandas", "great_expectations", "evidently", "sklearn", "matplotlib"),
    *("pyarrow", "deltalake", "psycopg2", "boto3", "scipy"),
}


def dag_ids(*problems: str) -> set[str]:
    return {f"{kind}_{problem}" for kind in KINDS for problem in problems}


def test_two_problem_files_make_one_dag_of_each_kind_each(two):
    assert two["import_errors"] == {}
    assert set(two["dags"]) == dag_ids("flights", "complaints")


def test_a_third_problem_file_adds_its_dags_without_any_python(parse: Parse, tmp_path):
    found = parse(write_problems(tmp_path / "problems", "flights", "complaints", "returns"))
    assert found["import_errors"] == {}
    assert set(found["dags"]) == dag_ids("flights", "complaints", "returns")


def test_the_problem_files_that_come_with_the_system_all_make_dags(parse: Parse):
    names = [path.stem for path in (PROJECT / "ml" / "problems").glob("*.toml")]
    found = parse(Path(), EVERGREEN_PROBLEMS="")
    assert len(names) >= 2
    assert found["import_errors"] == {}
    assert set(found["dags"]) == dag_ids(*names)


BROKEN = {
    "no TOML": ("[problem\n", "not valid TOML"),
    "no text": ("\udcff", "not valid TOML"),
    "other name": ('[problem]\nname = "other"\n', "the file is called broken.toml"),
    "no name": ('[problem]\ntitle = "?"\n', "the file is called broken.toml"),
    "no section": ('problem = "broken"\n', "Write [problem] on a line of its own"),
    "no cron": ('[problem]\nname = "broken"\n[schedule]\nretrain = "at night"\n', "'at night' is no cron expression"),
    "no weekly cron": (
        '[problem]\nname = "broken"\n[schedule]\nhousekeeping = "weekly"\n',
        "[schedule] housekeeping = 'weekly' is no cron expression",
    ),
    "no zone": ('[problem]\nname = "broken"\n[source]\ntimezone = "Mars"\n', "timezone = 'Mars' is unknown"),
    "no approval": ('[problem]\nname = "broken"\n[gate]\napproval = "maybe"\n', "approval = 'maybe' is unknown"),
    "no hours": ('[problem]\nname = "broken"\n[gate]\napproval_hours = "3"\n', "approval_hours = '3' is no number of hours"),
    "no users": ('[problem]\nname = "broken"\n[gate]\napprovers = "anna"\n', "approvers = 'anna' is no list of users"),
    "no quotes": ('[problem]\nname = "broken"\nowner = 3\n', "owner = 3 is no text"),
}


def test_a_broken_problem_file_is_an_import_error_and_the_others_keep_their_dags(parse: Parse, tmp_path):
    problems = write_problems(tmp_path / "problems", "flights")
    (problems / "broken.toml").write_text(BROKEN["no TOML"][0])
    found = parse(problems)
    assert set(found["dags"]) == dag_ids("flights")
    [(file, message)] = found["import_errors"].items()
    assert file.endswith("problem_files.py")
    assert f"{problems / 'broken.toml'}: not valid TOML" in message
    assert "1 of 2 problem files" in message


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_problem_file_is_named_with_what_is_wrong(content, message, tmp_path, monkeypatch):
    from retraining import problems

    path = tmp_path / "broken.toml"
    path.write_bytes(content.encode(errors="surrogateescape"))
    monkeypatch.setenv("EVERGREEN_PROBLEMS", str(tmp_path))
    with pytest.raises(problems.ProblemFileError) as raised:
        problems.demand_readable()
    assert str(path) in str(raised.value)
    assert message in str(raised.value)
    assert list(problems.readable()) == []


def test_a_folder_without_problem_files_is_an_import_error_that_names_it(parse: Parse, tmp_path):
    found = parse(tmp_path / "nowhere")
    assert found["dags"] == {}
    [message] = found["import_errors"].values()
    assert f"There is no problem file (*.toml) in {tmp_path / 'nowhere'}" in message


def test_parsing_imports_nothing_heavy_and_of_the_system_only_the_error_classes(two):
    loaded = set(two["modules"])
    assert {"retraining.edge", "airflow.sdk"} <= loaded
    assert {name for name in loaded if name.split(".")[0] in HEAVY} == set()
    # Airflow looks up the classes that a retry rule names, to warn of a misspelt one
    assert {name for name in loaded if name.split(".")[0] == "ml"} <= {"ml", "ml.errors"}


def test_parsing_all_files_takes_less_than_a_second_of_cpu(two):
    assert 0 < two["seconds"] < 1


def test_parsing_warns_of_nothing(two):
    assert two["warnings"] == {}


def test_dag_files_import_only_the_sdk_the_standard_library_and_retraining():
    files = sorted((PROJECT / "dags").glob("*.py"))
    assert len(files) >= 5
    for file in files:
        for statement in ast.parse(file.read_text()).body:
            names = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
            names += [str(statement.module)] if isinstance(statement, ast.ImportFrom) else []
            strange = [n for n in names if n != "airflow.sdk" and n.split(".")[0] not in {"retraining", *sys.stdlib_module_names}]
            assert not strange, f"{file.name} imports {strange} at module level"
