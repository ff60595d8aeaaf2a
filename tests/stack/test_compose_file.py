"""What can be said of the full stack without a container engine; runs in `make test`."""

import json
import os
import re
import shutil
import stat
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

from infra.compose import backup, secrets
from ml.settings import DEFAULTS, PROJECT

STACK = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())
SERVICES = STACK["services"]
LASTING = sorted(name for name, service in SERVICES.items() if service["restart"] != "no")
FINITE = sorted(set(SERVICES) - set(LASTING))
DOCKERFILES = sorted((PROJECT / "infra" / "docker").glob("*.Dockerfile"))
DASHBOARDS = sorted((PROJECT / "infra" / "grafana" / "dashboards").glob("*.json"))
MEASURED = re.compile(r"\b(evergreen_[a-z_]+?)(?:_bucket|_total|_count|_sum)?\b(?=[{\[\s),]|$)")


def run(program: str, *arguments: str) -> subprocess.CompletedProcess:
    path = shutil.which(program, path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ["PATH"])))
    assert path, f"{program} is missing: make setup-dev"
    return subprocess.run([path, *arguments], capture_output=True, text=True, cwd=PROJECT)


def test_is_a_compose_file():
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yaml", "tests/stack/replay.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_guarded(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert set(service.get("cap_add", ())) <= ({"NET_BIND_SERVICE"} if name == "proxy" else set())
    assert int(service["user"].split(":")[0]) > 0
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert "privileged" not in service
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))


@pytest.mark.parametrize("name", LASTING)
def test_what_stays_up_is_asked_for_its_health_and_comes_back(name):
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0].startswith("CMD")


def test_what_ends_is_waited_for_or_asked_for_by_hand():
    waited = {name for service in SERVICES.values() for name, how in service.get("depends_on", {}).items()
              if how["condition"] == "service_completed_successfully"}  # fmt: skip
    assert set(FINITE) == waited | {"cli"}
    assert SERVICES["cli"]["profiles"] == ["by-hand"]


def test_only_the_proxy_has_ports_and_it_reaches_no_database():
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]
    assert SERVICES["proxy"]["networks"] == ["edge"]
    assert STACK["networks"]["data"] == {"internal": True}
    for name in ("postgres", "redis", "seaweedfs", "prometheus"):
        assert SERVICES[name]["networks"] == ["data"]


def test_secrets_come_from_files_and_each_container_gets_its_own():
    text = (PROJECT / "docker-compose.yaml").read_text()
    for name, service in SERVICES.items():
        given = service.get("secrets", [])
        assert set(given) <= set(STACK["secrets"])
        for variable, value in service.get("environment", {}).items():
            secret = re.search("PASSWORD|SECRET|TOKEN|FERNET|BROKER_URL|CONN|DATABASE_URL|SOURCE_URL|BACKEND", variable)
            if secret and not variable.startswith("AIRFLOW__DATABASE__EXTERNAL"):
                assert value.startswith("/run/secrets/"), f"{name}: {variable}"
            if value.startswith("/run/secrets/"):
                assert value.removeprefix("/run/secrets/") in given, f"{name} does not get {value}"
    assert not re.search(r"://[^/\s]*:[^/\s@]+@", text)
    superuser = {name for name, service in SERVICES.items() if "postgres_postgres" in service.get("secrets", ())}
    assert superuser == {"postgres", "init"}


def test_every_secret_is_one_that_is_made(tmp_path):
    secrets.provide(tmp_path / "made")
    assert set(STACK["secrets"]) <= {path.name for path in (tmp_path / "made").iterdir()}
    assert all(entry["file"] == f"./secrets/{name}" for name, entry in STACK["secrets"].items())


def test_images_of_others_are_pinned_and_can_be_pinned_by_digest():
    for name, service in SERVICES.items():
        found = re.fullmatch(r"\$\{IMAGE_[A-Z]+:-(\S+)\}", service["image"])
        assert found, f"{name}: {service['image']}"
        image = found[1]
        assert image.startswith("evergreen-") or re.search(r":v?\d+\.\d+", image), f"{name}: {image}"
    for file in DOCKERFILES:
        assert re.search(r"^ARG BASE=\S+:\d+\.\d+", file.read_text(), re.M), file


def test_settings_of_ours_are_known():
    given = {variable.removesuffix("_FILE") for service in SERVICES.values() for variable in service.get("environment", {})}
    assert {name for name in given if name.startswith("EVERGREEN_")} <= {f"EVERGREEN_{name.upper()}" for name in DEFAULTS}


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda path: path.name)
def test_image_files_are_sound(file):
    done = run("hadolint", "--failure-threshold", "warning", str(file))
    assert done.returncode == 0, done.stdout
    text = file.read_text()
    assert re.findall(r"^USER (\S+)", text, re.M)[-1] == "10001"
    assert not re.search(r"^(ENV|ARG) \S*(PASSWORD|TOKEN|SECRET)", text, re.M)


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda path: path.name)
def test_dashboards_ask_known_sources_for_what_is_measured(file):
    sources = yaml.safe_load((PROJECT / "infra/grafana/provisioning/datasources/sources.yaml").read_text())["datasources"]
    written = "".join(path.read_text() for path in (PROJECT / "ml" / "serving").glob("*.py"))
    panels = json.loads(file.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["datasource"]["uid"] in {source["uid"] for source in sources}
        for target in panel["targets"]:
            named = MEASURED.findall(target.get("expr", ""))
            assert all(f'"{name}"' in written for name in named), target
            assert named or "up" in target.get("expr", "up")


def test_the_folder_of_secrets_is_for_its_owner_and_is_not_committed(tmp_path):
    made = secrets.provide(tmp_path / "secrets")
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o644}
    assert "/secrets/" in (PROJECT / ".gitignore").read_text().split()
    drawn = [path.read_text() for path in (tmp_path / "secrets").iterdir() if path.name not in secrets.FOR_PEOPLE]
    assert len(set(drawn)) == len(drawn) == len(made) - len(secrets.FOR_PEOPLE)
    assert not secrets.provide(tmp_path / "secrets")
    assert set(drawn) <= {path.read_text() for path in (tmp_path / "secrets").iterdir()}


def test_a_password_that_is_kept_makes_the_addresses_anew(tmp_path):
    secrets.provide(tmp_path)
    before = (tmp_path / "airflow_database_url").read_text()
    (tmp_path / "airflow_database_url").unlink()
    assert secrets.provide(tmp_path) == ["airflow_database_url"]
    assert (tmp_path / "airflow_database_url").read_text() == before


def backup_of(folder: Path) -> Path:
    secrets.provide(folder / "secrets")
    (folder / "evergreen.dump").write_bytes(b"rows")
    (folder / backup.SUMS).write_text(backup.sums(folder))
    return folder


def test_a_whole_backup_is_taken(tmp_path):
    backup.check(backup_of(tmp_path))


@pytest.mark.parametrize("harm", ["changed", "gone", "more", "unfinished"])
def test_a_backup_that_is_not_as_it_was_written_is_refused(tmp_path, harm):
    folder = backup_of(tmp_path)
    if harm == "changed":
        (folder / "evergreen.dump").write_bytes(b"rowS")
    elif harm == "gone":
        (folder / "secrets" / "predict_key").unlink()
    elif harm == "more":
        (folder / "airflow.dump").write_bytes(b"")
    else:
        (folder / backup.SUMS).unlink()
    with pytest.raises(SystemExit, match="SHA256SUMS" if harm == "unfinished" else "not as it was written"):
        backup.check(folder)


def test_production_is_saved_only_where_it_is_ours(tmp_path):
    secrets.provide(tmp_path)
    assert backup.databases(tmp_path) == list(backup.ORDER)
    (tmp_path / "evergreen_source_url").write_text("postgresql://reader:x@db.example.org/sales")
    assert "production" not in backup.databases(tmp_path)
    assert set(backup.ORDER) == set(secrets.DATABASES)
