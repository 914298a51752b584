"""Sections of the chest X-ray page: the leaderboard, and how it was done."""

import numpy as np
import pandas as pd

from equity_jax.arms import RANDOM
from equity_jax.audit import view
from equity_jax.audit.pages import figures
from equity_jax.audit.pages.page import Section, Table, interval_text
from equity_jax.files import env
from equity_jax.trial_files import TOP, Trial
from equity_jax.trials import Result
from equity_jax.types import TRAIN
from experiments.cxr_parts import (
    DEPTHS,
    TITLES,
    measured,
    name_of,
    named,
    paired,
    picture,
    run_of,
    told,
    wide,
)

USUAL = 224  # pixels of a side that these networks were designed for


def leaderboard(result: Result) -> Section:
    """Every best network, ranked on validation; the top three; best against second."""
    spec, made = result.dataset.spec, board(result)
    result.store.write_csv("leaderboard.csv", made)
    rows = overall(result)
    numbers = wide(rows.assign(metric=rows["metric"].map(TITLES)), "network", "metric")
    numbers = numbers[["network", *(t for t in TITLES.values() if t in numbers)]]
    numbers["network"] = [f"{i}. {n}" for i, n in enumerate(numbers["network"], 1)]
    figure = figures.dots(
        rows[rows["metric"].isin(["accuracy", "macro_f1", "macro_auroc"])].assign(
            group=lambda r: r["network"], metric=lambda r: r["metric"].map(TITLES)
        ),
        title="Test accuracy, macro F1 and macro AUROC",
        xlabel="1 is perfect",
        by="metric",
        simulated=spec.simulated,
    )
    caption = "Test results of the best trial of each network, with intervals"
    shown = picture(result.store, "leaderboard", figure, caption)
    tables = [
        Table("Test results, ranked by loss on the validation images", numbers),
        _how_made(made),
    ]
    text = [*_named(result), *_second(result), *_shrunk(result), _how(result)]
    return Section("Leaderboard", text, tables, [shown], items=_imported(result))


def overall(result: Result) -> pd.DataFrame:
    """Rows of the audit of all classes and all test images, best network first."""
    rows = named(result, view(result.overall, attribute="", label="", contrast="group"))
    rows = rows[rows["group"].eq("all") & rows["metric"].isin(TITLES)]
    order = {name_of(t): i for i, t in enumerate(result.chosen)}
    return rows.sort_values("network", key=lambda n: n.map(order), kind="stable")


def board(result: Result) -> pd.DataFrame:
    """leaderboard.csv: what each best network is, and its test numbers."""
    values = overall(result).pivot_table(
        "value", "network", "metric", "first", dropna=False
    )
    lines = []
    for place, t in enumerate(result.chosen, 1):
        line = {"rank": place, "network": name_of(t), **_made(result, t)}
        lines.append(line | values.loc[name_of(t)].to_dict())
    return pd.DataFrame(lines)


def _imported(result: Result) -> list[str]:
    """What was taken from each checkpoint, and what was not."""
    found = {model: start.diff for model, start in result.starts.items() if start.diff}
    return [f"{model}: {' '.join(diff.split())}" for model, diff in found.items()]


def _how_made(made: pd.DataFrame) -> Table:
    """What differs between the networks, one line each; what does not, below."""
    how = made.drop(columns=["rank", *(c for c in TITLES if c in made)])
    same = [c for c in how.columns[2:] if how[c].nunique() == 1]
    note = "; ".join(f"{c}: {how[c].iloc[0]}" for c in same)
    note = f"The same for all: {note}." if same else ""
    return Table("How each was made", how.drop(columns=same), note)


def _made(result: Result, trial: Trial) -> dict[str, object]:
    config, run, about = result.store.config, run_of(result, trial), trial.about
    start = result.starts.get(trial.arm.model) if trial.arm.started else None
    images = np.sum(result.dataset.split == TRAIN)
    return {
        "validation loss": round(trial.valid, 4),
        "weights from": start.words if start else RANDOM,
        "what is trained": DEPTHS.get(about["depth"], about["depth"]),
        "augmentation": trial.arm.augment.replace("),", "), ") or "none",
        "method": about["method"],
        "learning rate": about["lr"],
        "step kept": int(run["step"]),
        "steps": config.train.steps,
        "epochs": round(config.train.steps * config.train.batch / images, 1),
        "pixels of a side": int(
            result.dataset.recipe.get("size", config.data.images.size)
        ),
    }


def _named(result: Result) -> list[str]:
    best = result.chosen[:TOP]
    listed = [
        f"**{i}. {name_of(t)}** (`submission/{i}_{t.about['model']}_"
        f"{t.about['start']}.csv`)"
        for i, t in enumerate(best, 1)
    ]
    how = "Validation images ranked them; the test images had no say."
    return [
        f"The top {len(best)}, each with its predictions: {'; '.join(listed)}. {how}"
    ]


def _second(result: Result) -> list[str]:
    """Whether the first can be told from the second."""
    if len(result.best) < 2:
        return []
    config, said = result.store.config, []
    found = measured(result.test, result.dataset.spec.classes, config)
    first, second = map(name_of, result.chosen[:2])
    for metric, estimate in found.items():
        gap = paired(estimate, [(0, 1)], config.audit.level)
        number = interval_text(gap["value"], gap["low"], gap["high"])
        said.append(f"{TITLES[metric]} {number} ({told(gap['low'], gap['high'])})")
    return [
        f"**Can the first be told from the second?** {first} minus {second}, on the"
        f" same test {result.dataset.spec.unit}s: {'; '.join(said)}."
    ]


def _shrunk(result: Result) -> list[str]:
    config = result.store.config
    size = int(result.dataset.recipe.get("size", config.data.images.size))
    images = np.sum(result.dataset.split == TRAIN)
    epochs = config.train.steps * config.train.batch / images
    small = f"What was shrunk: images are {size} x {size} pixels (usual: {USUAL}), and"
    if size >= USUAL:
        small = f"Images are {size} x {size} pixels;"
    return [
        f"{small} each run had {config.train.steps} steps of {config.train.batch}"
        f" images, {epochs:.1f} passes over the training images. No network's width or"
        " depth was changed. Longer training on larger images can change the order."
    ]


def _how(result: Result) -> str:
    config = result.store.config
    return (
        "The predicted class is the one with the largest probability. Macro numbers"
        " are plain means over classes, so a rare class counts as much as a common one;"
        f" AUROC is one class against the rest. Intervals are {config.audit.level:.0%}"
        f" and resample {result.dataset.spec.unit}s. They say how the same networks"
        " would do on other patients of the same sources, not at another hospital."
    )


def conduct(result: Result) -> Section:
    """Seconds, devices, runs, and what was not done."""
    config, spec = result.store.config, result.dataset.spec
    machine, arms = env({}), {t.arm for t in result.trials}
    devices = ", ".join(sorted(set(machine["devices"])))
    text = [
        f"Data fingerprint {spec.fingerprint}. {len(result.table)} runs in"
        f" {len(arms)} arms (a network, a start, an augmentation, a learning rate);"
        f" {config.train.seeds} seed(s), {config.train.steps} steps of"
        f" {config.train.batch} images each. A run stops after {config.train.patience}"
        " evaluations without improvement on validation, and its best step is kept.",
        f"Devices: {devices}; {machine['cpus']} CPU cores. Seconds so far: "
        + ", ".join(f"{name} {spent:.0f}" for name, spent in result.seconds.items())
        + ". Compilation is a part of fit.",
        f"Intervals: {config.audit.level:.0%}, {config.audit.replicates} replicates"
        f" that resample {spec.unit}s, the same for all networks and groups. No"
        " significance is claimed across the many cells of these tables.",
    ]
    return Section("How it was done", text, items=_not_done(result))


def _not_done(result: Result) -> list[str]:
    """What a reader may expect and will not find."""
    config, models = result.store.config, {t.arm.model for t in result.trials}
    named = (*config.arms.scratch, *config.arms.transfer)
    single = [m for m in dict.fromkeys(named) if m in models]
    single = [m for m in single if m not in config.arms.crossed]
    said = [
        "Not done: images of another hospital. Every test image comes from a source"
        " that also gave training images, unless the data's own split says otherwise.",
        "Not done: lungs were not segmented. The lung area is a fixed place of the"
        " picture, the same for all images.",
    ]
    if single:
        said.append(
            f"Not done: {', '.join(single)} ran at one learning rate and one way of"
            f" sampling; only {', '.join(config.arms.crossed)} crossed them."
        )
    if config.train.seeds == 1:
        said.append(
            "Not done: other seeds. Intervals hold for these very networks; training"
            " again from another seed would move the numbers too."
        )
    return said
