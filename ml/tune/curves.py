"""What the capacity ladder looks like: losses by epoch of every rung, and the validation score by size of the network."""

from collections.abc import Sequence
from pathlib import Path

from ml.tune.trial import Trial


def draw(path: Path, trials: Sequence[Trial]) -> None:
    """Write one picture: left the rungs' losses (solid: validation, dotted: training), right the score of every trial."""
    from matplotlib.figure import Figure

    figure = Figure((11.0, 4.5), 110, layout="constrained")  # no pyplot: no global state, no display
    losses, scores = figure.subplots(1, 2)
    judged = [(trial, trial.scores) for trial in trials if trial.scores]
    for trial, found in judged:
        if set(trial.values) == {"layers", "dropout", "l1", "l2", "patience"}:  # a rung, without restraint
            epochs = range(1, len(found.history["loss"]) + 1)
            line = losses.plot(epochs, found.history["val_loss"], label=" x ".join(map(str, trial.values["layers"])))[0]
            losses.plot(epochs, found.history["loss"], color=line.get_color(), linestyle=":")
    losses.set(title="Loss by epoch (dotted: of the training rows)", xlabel="epoch", ylabel="loss")
    losses.legend(title="units")
    for restrained in (False, True):
        shown = [found for trial, found in judged if any(trial.values[name] for name in ("dropout", "l1", "l2")) == restrained]
        sizes, values = [one.num_parameters for one in shown], [one.value for one in shown]
        doubt = [one.deviation or 0.0 for one in shown]
        scores.errorbar(sizes, values, doubt, fmt="o", alpha=0.7, label="restrained" if restrained else "free")
    metric = judged[0][1].metric if judged else "score"
    scores.set(title="Validation score by size, with its noise", xlabel="parameters", ylabel=metric, xscale="log")
    scores.legend()
    figure.savefig(path, format="png")
