"""docs/security.md says nothing that no test shows."""

import re
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from ml.problem import Problem
from ml.settings import PROJECT
from tests.integration.state_kit import make_problem

TEXT = (PROJECT / "docs" / "security.md").read_text()
NAMED = re.compile(r"`(test_\w+)`")


def claims() -> Iterator[tuple[str, list[str]]]:
    """Every line of a table whose last column says what shows it, with the tests it names."""
    inside = False
    for line in TEXT.splitlines():
        if not line.startswith("|"):
            inside = False
        elif line.endswith("| shown by |"):
            inside = True
        elif inside and not line.startswith("|---"):
            yield line.split("|")[1].strip(), NAMED.findall(line.split("|")[-2])


def test_every_line_names_tests_that_exist():
    written = "\n".join(path.read_text() for path in (PROJECT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"^\s*(?:async )?def (test_\w+)\(", written, re.MULTILINE))
    told = dict(claims())
    assert len(told) > 40
    assert [claim for claim, tests in told.items() if not tests] == []
    assert [(claim, test) for claim, tests in told.items() for test in tests if test not in known] == []


def test_and_every_test_of_this_folder_is_told():
    here = "\n".join(path.read_text() for path in (PROJECT / "tests" / "security").glob("test_*.py"))
    written = set(re.findall(r"^def (test_\w+)\(", here, re.MULTILINE))
    proofs = {test for test in written if not test.startswith("test_and_")}
    helping = {
        "test_every_line_names_tests_that_exist",
        "test_an_untouched_model_opens",
        "test_ordinary_text_is_shown_as_it_is",
        "test_a_traceback_still_has_its_lines",
    }
    assert proofs - helping - set(NAMED.findall(TEXT)) == set()


@pytest.mark.parametrize(
    "pattern", ["http://169.254.169.254/latest", "https://evil.example/x", "file:///etc/passwd", "ftp://x", "rows.csv"]
)
@pytest.mark.parametrize("kind", ["s3", "files"])
def test_a_source_is_a_table_a_folder_or_a_bucket(kind, pattern):
    content = make_problem("late").model_dump()
    place = {"kind": kind, "table": None, "pattern": pattern}
    with pytest.raises(ValidationError, match="must begin with"):
        Problem.model_validate(content | {"source": content["source"] | place})
