"""What to try next: Optuna's tree-structured Parzen estimator, fed with what earlier trials reached."""

import json
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from ml.problem.tune import Range, Tune

if TYPE_CHECKING:
    import optuna

Plan = Generator[dict[str, Any], float | None, None]  # yields settings, is sent what they reached (more is better) or None


def plan(tune: Tune) -> Plan:
    """Settings to try, without end; the same answers lead to the same settings, so a search that was killed is walked again.

    Bergstra et al. 2011. The first ten are random.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=tune.seed))
    while True:
        trial = study.ask()
        reached = yield {name: _value(trial, name, span) for name, span in tune.vary.items()}
        if reached is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, reached)


def _value(trial: "optuna.Trial", name: str, span: Range) -> Any:
    if span.low is not None and span.high is not None:
        return float(f"{trial.suggest_float(name, span.low, span.high, log=span.log):.6g}")
    return json.loads(trial.suggest_categorical(name, [json.dumps(choice) for choice in span.choices]))
