"""A model in the browser: its encoder packs rows as training does, and the page answers like the SavedModel."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from ml import features
from ml.exports import build
from ml.exports.loader import Encoder
from ml.problem import Serving
from ml.scoring import Scorer
from ml.settings import PROJECT
from tests.e2e.driving import CHROMIUM, FLAGS
from tests.unit.exports_kit import FEATURES, flights_model, sample

NPM = PROJECT / "build" / "npm"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("neither chromium nor google-chrome is installed; on Debian: apt install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which a plain file server shows it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *given):
            pass

    folder = tmp_path_factory.mktemp("site")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def requested(rows: list[dict]) -> list[dict]:
    return [{name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()} for row in rows]


def test_rows_are_packed_as_in_training(browser, site):
    """Also odd characters, changes of the clock, and years beyond the tables."""
    folder, address = site
    plan = features.layout(features.fit(sample(), FEATURES, timezone="America/New_York"))
    moments = [datetime(year, 3, 1, tzinfo=UTC) + timedelta(hours=5 * n) for year in (1969, 2013, 2050) for n in range(100)]
    rows = sample(300).to_pylist()
    rows = [row | {"sched": moment} for row, moment in zip(rows, moments, strict=True)] + rows
    rows += [
        dict.fromkeys(FEATURES) | {"story": text, "carrier": text, "zip_code": text}
        for text in ("K İ ſ", "98é", "\0", "a-B_c 1.5")
    ]
    shutil.copyfile(build.PAGE / "model.js", folder / "model.js")
    (folder / "bare.html").write_text("<!doctype html><title>bare</title>")
    page = browser.new_page()
    page.goto(f"{address}/bare.html")
    packing = """async ([plan, rows]) => {
        const { Encoder } = await import("/model.js");
        const packed = Object.entries(new Encoder(plan).encode(rows));
        return Object.fromEntries(packed.map(([name, array]) => [name, Array.from(array)]));
    }"""
    found = page.evaluate(packing, [plan, requested(rows)])
    page.close()
    for name, wanted in Encoder(json.loads(json.dumps(plan)))(rows).items():
        np.testing.assert_allclose(
            np.array(found[name]).reshape(wanted.shape), wanted, rtol=0, atol=2e-7 if name == "numbers" else 0
        )


@pytest.fixture(scope="module")
def runtime() -> Path:
    """onnxruntime-web from the npm registry, kept in build/."""
    dist = NPM / "node_modules" / "onnxruntime-web" / "dist"
    if not dist.exists():
        if (npm := shutil.which("npm")) is None:
            pytest.skip("npm is not installed; on Debian: apt install npm")
        NPM.mkdir(parents=True, exist_ok=True)
        wanted = ["install", "--prefix", str(NPM), "--ignore-scripts", "--no-audit", "--no-fund", f"onnxruntime-web@{build.ORT}"]
        subprocess.run([npm, *wanted], check=True, capture_output=True)
    return dist


@pytest.mark.slow
def test_the_page_answers_ten_thousand_flights_like_the_saved_model(browser, site, runtime):
    folder, address = site
    made, rows = flights_model(folder / "model", Serving(targets=("onnx",)))
    wanted = Scorer.load(made, reference=True).score(rows)
    build.browser(made, folder / "flights", runtime)
    page = browser.new_page(viewport={"width": 900, "height": 900})
    page.goto(f"{address}/flights/index.html")
    expect(page.locator("#answer")).to_have_text("ready", timeout=60_000)
    answers = []
    for first in range(0, rows.num_rows, 2_000):
        answers += page.evaluate("rows => window.score(rows)", requested(rows.slice(first, 2_000).to_pylist()))
    assert np.abs(np.array(answers)[:, 0] - wanted).max() <= 1e-5
    assert len(answers) == 10_000 and wanted.std() > 0.02

    page.get_by_role("button", name="Ask the model").click()
    example = json.loads((made / "example.json").read_text())["scores"][0]
    expect(page.locator("#answer")).to_contain_text("which means")
    assert float((page.locator("#answer").inner_text()).split(",")[0]) == pytest.approx(example, abs=1e-4)
    page.close()
