"""What the pages inside Airflow show, in a shell."""

import typer

from ml.cli.options import JsonOption, ProblemOption, plain, show, table


def register(app: typer.Typer) -> None:
    """Add `fleet` and `brief`."""
    app.command("fleet", help="Every problem in a line: champion, live quality, drift, last night, what waits.")(fleet)
    app.command("brief", help="What last night did, step by step, in plain sentences.")(brief)


def fleet(as_json: JsonOption = False) -> None:
    """Print all problems; one that cannot be read says why."""
    from ml import overview, settings

    found = overview.fleet(settings.read())
    rows = [
        {
            "problem": one.name,
            "champion": f"version {one.champion.version}, {one.age_days} days" if one.champion else "none",
            "live": next((f"{point.value:.3f}" for point in reversed(one.quality) if point.value is not None), ""),
            "promised": f"{one.promised:.3f}" if one.promised is not None else "",
            "drift": one.drift,
            "waits": ", ".join(f"version {waits.version}" for waits in one.waiting),
            "last night": one.trouble or one.told,
        }
        for one in found
    ]
    columns = ["problem", "champion", "live", "promised", "drift", "waits", "last night"]
    show(plain(found), as_json=as_json, text=table(rows, columns))


def brief(problem: ProblemOption, as_json: JsonOption = False) -> None:
    """Explain the newest night by its records."""
    from ml import overview
    from ml.context import open_run

    found = overview.brief(open_run(problem, "brief"))
    when = f"{found.run_key}, {found.at:%Y-%m-%d %H:%M} UTC" if found.at else found.problem
    lines = [when, found.headline, *(f"  {step.name}: {step.sentence}" for step in found.steps)]
    show(plain(found), as_json=as_json, text="\n".join(lines))
