"""Which routes of an app are open to whom they should not be, whoever wrote them and whatever they are made with."""

from typing import Any

EXAMPLES = {"problem": "flights", "run_key": "night-1", "page": "validation.html", "name": "roc.png", "what": "retrain"}


def routes_of(routes: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Every (method, path) of an app, those of apps mounted in it too; of what is neither, "?" as its method."""
    found = []
    for one in routes:
        path = prefix + getattr(one, "path", "")
        if getattr(one, "routes", None):
            found += routes_of(one.routes, path)
        else:
            found += [(method, path) for method in sorted(getattr(one, "methods", None) or ["?"])]
    return found


def unguarded(client: Any, app: Any, prefix: str, stranger: str) -> list[str]:
    """Routes of an app that do not send the anonymous away (401, or 302 to the login), or somebody without a role (403)."""
    found = []
    for method, path in routes_of(app.routes):
        address = prefix + path.format(**EXAMPLES)
        headers = {"Authorization": f"Bearer {stranger}"}
        answers = [client.request(method, address).status_code, client.request(method, address, headers=headers).status_code]
        if method == "?" or answers[0] not in (401, 302) or answers[1] != 403:
            found.append(f"{method} {path} {answers}")
    return found


def planted(pages: Any) -> Any:
    """The app with routes that somebody forgot to guard: one without the problem's guard, one past the app's own, one mounted."""
    from fastapi import FastAPI
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    app = pages.build()
    app.add_api_route("/plant/of-fastapi", lambda: "open to all who are logged in")
    app.router.routes.append(Route("/plant/of-starlette", lambda request: PlainTextResponse("open to all")))
    inner = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    inner.add_api_route("/mounted", lambda: "open to all")
    app.mount("/plant", inner)
    return app
