"""What comes from elsewhere: pinned by hash, under licences that one may use, and by nobody's floating tag."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ml.settings import PROJECT
from tests.security.licences import KNOWN, PINNED, Licence, licences

LOCKS = [PROJECT / name for name in ("requirements.txt", "requirements-dev.txt", "requirements-serving.txt")]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_is_pinned_with_hashes(lock: Path):
    """Entries begin at the start of a line; pip, told --require-hashes, refuses a file in which one has none."""
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", lock.read_text()))
    assert len(entries) > 20
    assert [entry[:60] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert "--require-hashes" in (PROJECT / "Makefile").read_text()


def test_no_licence_forbids_what_users_do():
    found = list(licences())
    assert len(found) > 200
    assert [one for one in found if not one.allowed] == []
    assert set(KNOWN) <= {one.name for one in found}, "an exception for a package that is gone"


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0", True),
        ("MIT AND GPL-3.0", False),
        ("(MIT AND BSD-3-Clause) OR GPL-3.0", True),
        ("GNU General Public License v3 (GPLv3)", False),
        ("AGPL-3.0-only", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_the_list_can_say_no(licence, allowed):
    assert Licence("x", "1", licence).allowed is allowed


def test_the_locked_versions_are_those_that_run_here():
    """A hash in the lock protects nobody who runs something else."""
    pinned = dict(PINNED.findall(LOCKS[0].read_text()))
    here = {name: importlib.metadata.version(name) for name in ("mlflow", "tensorflow", "apache-airflow", "fastapi", "pyjwt")}
    assert {name: pinned[name] for name in here} == here, sys.prefix


def test_workflows_use_no_action_by_a_tag_and_few_rights():
    """Whoever can move a tag of an action runs code with the repository's rights."""
    assert {path.stem for path in WORKFLOWS} == {"check", "image", "release"}
    for path in WORKFLOWS:
        text = path.read_text()
        used = re.findall(r"uses:\s*(\S+)", text)
        assert [one for one in used if not re.fullmatch(r"\S+@[0-9a-f]{40}", one)] == [], path.name
        assert re.search(r"(?m)^permissions: \{\}$", text), f"{path.name} begins without any right"
        assert "pull_request_target" not in text
        assert not re.search(r"run:.*\$\{\{|^\s+[^#\n]*\$\{\{ *github\.(event|head_ref|ref_name)", text, re.MULTILINE), path.name


AUDIT = {
    "bandit": ["--quiet", "--recursive", "--configfile", "pyproject.toml", "ml", "plugins", "dags", "benchmarks"],
    "gitleaks": ["git", "--no-banner", "--redact", "."],
    "zizmor": ["--offline", "--persona", "auditor", ".github/workflows"],
}


@pytest.mark.slow
@pytest.mark.parametrize("tool", AUDIT)
def test_no_secret_unsafe_code_or_unsafe_workflow_is_in_the_repository(tool):
    program = Path(sys.executable).with_name(tool)
    if not program.exists():
        pytest.skip(f"{tool} is not installed: make setup-dev")
    done = subprocess.run([program, *AUDIT[tool]], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_the_audit_is_part_of_the_check_of_every_change():
    target = re.search(r"(?ms)^audit:.*?\n\n", (PROJECT / "Makefile").read_text())
    assert target is not None and all(f"$(BIN)/{tool} " in target[0] for tool in AUDIT)
    for name in ("check", "release"):
        assert re.search(r"run: make .*\baudit\b", (PROJECT / ".github" / "workflows" / f"{name}.yml").read_text())
