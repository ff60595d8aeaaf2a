"""Run in a process of its own: a real Airflow API server, and a real browser in which somebody labels with the keyboard.

Usage: python label_in_browser.py RESULT_FILE [SCREENSHOT_FOLDER]
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.e2e.driving import CHROMIUM, FLAGS

PAGE = "/evergreen/flights/labels"


def main(result: str, screenshots: str = "") -> None:
    import uvicorn
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb

    from ml.embedded.processes import free_port

    initdb()
    port = free_port(0)
    server = uvicorn.Server(uvicorn.Config(create_app(apps="core"), host="127.0.0.1", port=port, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="anna", role="user"))
    Path(result).write_text(json.dumps(label(f"http://127.0.0.1:{port}", token, screenshots)))
    server.should_exit = True


def label(address: str, token: str, screenshots: str) -> dict[str, Any]:
    """Press 1 on the first row, leave the second for later, press 2 on the third; what each page said."""
    from playwright.sync_api import sync_playwright

    said = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for scheme in ("light", "dark"):
            context = browser.new_context(color_scheme=scheme, viewport={"width": 900, "height": 900})
            context.add_cookies([{"name": "_token", "value": token, "url": address}])
            page = context.new_page()
            page.goto(address + PAGE)
            if screenshots:
                page.screenshot(path=f"{screenshots}/label-{scheme}.png")
        for key in ("1", "s", "2", ""):
            said.append(page.inner_text("body"))
            if key:
                with page.expect_navigation():
                    page.keyboard.press(key)
        if screenshots:
            page.screenshot(path=f"{screenshots}/label-done.png")
        browser.close()
    return {"said": said}


if __name__ == "__main__":
    main(*sys.argv[1:])
