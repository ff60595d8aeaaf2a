"""The events between DAGs. They are hints that may be lost or doubled: what is due stands in the ledger's work table."""

from airflow.sdk import Asset, AssetWatcher

from retraining.triggers import AliasTrigger


def drift(problem: str) -> Asset:
    """A retrain is due: `monitor_<problem>` tells `retrain_<problem>`."""
    return _asset("drift", problem)


def news(problem: str) -> Asset:
    """Something that people should know: `monitor_<problem>` tells whichever DAG brings it to them; none of ours listens."""
    return _asset("news", problem)


def candidate(problem: str) -> Asset:
    """A promotion is due: `retrain_<problem>` tells `promote_<problem>`."""
    return _asset("candidate", problem)


def champion(problem: str) -> Asset:
    """A deployment is due: `promote_<problem>` tells `deploy_<problem>`."""
    return _asset("champion", problem)


def alias(problem: str) -> Asset:
    """Somebody moved the alias `champion` in MLflow by hand: the triggerer tells `deploy_<problem>`."""
    watcher = AssetWatcher(name=f"alias_{problem}", trigger=AliasTrigger(problem))
    return Asset(name=f"alias_{problem}", uri=f"evergreen://{problem}/alias", group="evergreen", watchers=[watcher])


def _asset(kind: str, problem: str) -> Asset:
    return Asset(name=f"{kind}_{problem}", uri=f"evergreen://{problem}/{kind}", group="evergreen")
