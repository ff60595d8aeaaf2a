"""Prometheus' rules by promtool, and who hears of them by a real Alertmanager that posts to a real server on this machine.

The programs are those on the PATH, else Debian's packages, unpacked into a folder of the test's own. Only addresses differ from
what is deployed: two secrets are files of the test, and PagerDuty's address is this machine's.
"""

import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ml.embedded.processes import free_port
from ml.settings import PROJECT

pytestmark = pytest.mark.stack
CONFIG = PROJECT / "infra" / "alertmanager" / "alertmanager.yml"
PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager", "prometheus-alertmanager": "prometheus-alertmanager"}
Tool = Callable[[str], str]
# Debian's build reads templates from one fixed place, which a package that is only unpacked did not fill
WITH_TEMPLATES = """set -e; found=${1%/bin/*}/share/prometheus/alertmanager
if [ -d "$found" ] && [ ! -d /usr/share/prometheus/alertmanager ]; then
  mount -t tmpfs none /usr/share; mkdir /usr/share/prometheus; cp -r "$found" /usr/share/prometheus/
fi
exec "$@" """


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """Call it with a program's name to get its path."""
    folder = tmp_path_factory.mktemp("debian")

    def find(name: str) -> str:
        if found := shutil.which(name) or shutil.which(name.removeprefix("prometheus-")):
            return found
        unpacked = folder / PACKAGES[name]
        if not unpacked.exists():
            run(["apt-get", "download", PACKAGES[name]], cwd=folder)
            run(["dpkg", "-x", str(next(folder.glob(f"{PACKAGES[name]}_*.deb"))), str(unpacked)])
        return str(unpacked / "usr" / "bin" / name)

    return find


def run(command: list[str], **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_rule_fires_for_what_it_is_about_and_not_before(tool, tmp_path):
    for file in (PROJECT / "infra" / "prometheus" / "alerts.yml", PROJECT / "tests" / "stack" / "alert_rules.yml"):
        shutil.copy(file, tmp_path)
    run([tool("promtool"), "check", "rules", "alerts.yml"], cwd=tmp_path)
    assert "SUCCESS" in run([tool("promtool"), "test", "rules", "alert_rules.yml"], cwd=tmp_path)


def test_no_rule_is_left_out_of_that():
    tried = (PROJECT / "tests" / "stack" / "alert_rules.yml").read_text()
    groups = yaml.safe_load((PROJECT / "infra" / "prometheus" / "alerts.yml").read_text())["groups"]
    assert [rule["alert"] for group in groups for rule in group["rules"] if rule["alert"] not in tried] == []


@pytest.mark.parametrize(("severity", "who"), [("critical", "pager,chat"), ("warning", "chat")])
def test_who_hears_of_which_severity(tool, severity, who):
    run([tool("amtool"), "check-config", str(CONFIG)])
    said = run([tool("amtool"), "config", "routes", "test", f"--config.file={CONFIG}", f"severity={severity}"])
    assert said.splitlines()[0] == who


@pytest.fixture
def sink() -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    """A running HTTP server: its port and what it was sent, by path."""
    got: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(202 if self.path == "/pager" else 200)
            self.end_headers()
            self.wfile.write(b'{"status": "success"}' if self.path == "/pager" else b"ok")

        def log_message(self, *about: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1], got
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def alertmanager(tool, sink, tmp_path: Path) -> Iterator[str]:
    """Address of a running Alertmanager with the deployed configuration."""
    (tmp_path / "alertmanager_chat_url").write_text(f"http://127.0.0.1:{sink[0]}/chat")
    (tmp_path / "alertmanager_pagerduty_key").write_text("k" * 32)
    text = CONFIG.read_text().replace("/run/secrets", str(tmp_path)).replace("group_wait: 30s", "group_wait: 1s")
    key = "- routing_key_file:"
    assert key in text
    (tmp_path / "config.yml").write_text(text.replace(key, f"- url: http://127.0.0.1:{sink[0]}/pager\n        routing_key_file:"))
    where = f"http://127.0.0.1:{free_port(0)}"
    arguments = ["--config.file=config.yml", "--storage.path=data", "--cluster.listen-address="]
    own_mounts = ["unshare", "--mount", "sh", "-c", WITH_TEMPLATES, "sh"]
    command = [*own_mounts, tool("prometheus-alertmanager"), *arguments, f"--web.listen-address={where.removeprefix('http://')}"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        until(lambda: server.poll() is not None or answers(f"{where}/-/ready"))
        assert server.poll() is None, (tmp_path / "log").read_text()
        yield where
    finally:
        server.terminate()
        server.wait(30)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_people_get_what_happened_and_what_to_do_and_one_cause_is_one_alert(tool, sink, alertmanager):
    _, got = sink
    add = [tool("amtool"), "alert", "add", f"--alertmanager.url={alertmanager}"]
    about = ["--annotation=summary=It is down", "--annotation=means=No answers", "--annotation=do=Start it"]
    about += ["--annotation=runbook=docs/runbook.md#servicedown"]
    run([*add, "alertname=ServiceDown", "severity=critical", *about])
    until(lambda: {path for path, _ in got} == {"/chat", "/pager"})
    run([*add, "alertname=SweepStopped", "severity=critical", *about])  # which follows from it
    run([*add, "alertname=RequestLogStuck", "severity=warning", *about])
    until(lambda: any("RequestLogStuck" in json.dumps(body) for _, body in got))
    assert not [body for _, body in got if "SweepStopped" in json.dumps(body)]
    chat = json.dumps(next(body for path, body in got if path == "/chat"))
    for part in ("What happened: It is down", "What it means: No answers", "do: Start it", "docs/runbook.md#servicedown"):
        assert part in chat
    pager = next(body for path, body in got if path == "/pager")
    assert (pager["routing_key"], pager["payload"]["severity"]) == ("k" * 32, "critical")
    assert "/pager" not in {path for path, body in got if "RequestLogStuck" in json.dumps(body)}, "warnings wake nobody"
