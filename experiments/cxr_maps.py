"""Section of the chest X-ray page: where networks look, and whether to trust it."""

from typing import NamedTuple

import jax
import numpy as np
import pandas as pd

from equity_jax.audit import OK
from equity_jax.audit.images import regions, sanity
from equity_jax.audit.images.saliency import grad_cam
from equity_jax.audit.pages import image_figures
from equity_jax.audit.pages.page import Figure, Section, Table, interval_text
from equity_jax.data import phantom
from equity_jax.inference import Network
from equity_jax.keys import generator, key
from equity_jax.trial_files import TOP, Trial, softmax
from equity_jax.trials import Result
from equity_jax.types import Array, PyTree
from experiments.cxr_parts import name_of, picture, tested_rows, texts

MOST, CHECKED = 256, 48  # images whose maps are measured, and sanity-checked
SHOWN = 3  # hits and misses of each class
EVEN = "an even map"
LEAST = 7  # cells of a side of a map, as these networks have at 224 pixels
KINDS = {"Grad-CAM": False, "Grad-CAM++": True}


class Seen(NamedTuple):
    """Test images of one network with its maps. x uint8[n, S, S, 1]; y, called int[n];
    maps: kind -> float32[n, S, S] of the called class; sure: float[n].
    """

    x: np.ndarray
    y: np.ndarray
    called: np.ndarray
    sure: np.ndarray
    maps: dict[str, np.ndarray]


def maps(result: Result) -> Section:
    """Grad-CAM of the best three, hits and misses, with its checks; maps.csv."""
    rows = chosen_rows(result)
    shares, checks, shown = [], [], []
    for t in result.chosen[:TOP]:
        seen = look(result, t, rows)
        shares += measured(result, t, seen, rows)
        checks.append(checked(result, t, seen, rows))
        kinds = list(KINDS) if not shown else list(KINDS)[:1]
        shown += [overlays(result, t, seen, kind) for kind in kinds]
    table = pd.concat([*shares, *checks], ignore_index=True)
    result.store.write_csv("maps.csv", table)
    share, check = pd.concat(shares), pd.concat(checks)
    text = [
        "Grad-CAM and Grad-CAM++ color the places of an image that speak for the class"
        " that the network called. They show where, not why: a map on the lungs does"
        " not prove that the disease was read, a map on the border is a warning."
        f" Measured on {len(rows)} test images.",
        *_read(share, check),
    ]
    tables = [
        Table("Share of a map's mass, mean over images", _shaped(share)),
        Table(
            "Do the maps depend on what was learned? Rank correlation with the trained"
            " network's map when blocks are given random weights, from the head down",
            _shaped(check).drop(columns=EVEN),
            "Near 0 is right. Maps that stay alike would show edges of the image, not"
            " what the network learned (Adebayo et al. 2018).",
        ),
    ]
    return Section("Where the networks look", text, tables, shown)


def chosen_rows(result: Result) -> np.ndarray:
    """int[n]: held-out rows of the test, at most MOST, drawn by the run's seed."""
    rows = tested_rows(result)
    rows = rows[np.asarray(result.held.y)[rows, 0] >= 0]
    rng = generator(result.store.config.seed, "maps")
    return np.sort(rng.permutation(rows)[:MOST])


def look(result: Result, trial: Trial, rows: np.ndarray) -> Seen:
    """The maps of one network on some held-out rows."""
    network, x = trial.network, np.asarray(result.held.x[rows])
    prob, tap = softmax(trial.logits[rows]), tap_of(network)[0]
    called, model = prob.argmax(1), network.model
    made = {
        kind: grad_cam(model, *network.weights, x, called, tap, plus_plus=plus)
        for kind, plus in KINDS.items()
    }
    y = np.asarray(result.held.y)[rows, 0]
    return Seen(x, y, called, prob.max(1), made)


def tap_of(network: Network) -> tuple[str, int]:
    """The deepest tap of LEAST cells a side, or that of the most; and how many.

    At 224 pixels that is the last one. At 64 the last has two to four cells a side, too
    few to say where anything is: on the simulated twin 4.6 % of cnn_deep's Grad-CAM
    lay on the lesion there (an even map: 4.9 %), and 9.8 % at the layer of 8 x 8 cells.

    Example:
        >>> tap_of(network)  # doctest: +SKIP
        ('dense2', 8)
    """
    model = network.model
    x = jax.ShapeDtypeStruct((1, network.size, network.size, 1), np.uint8)

    def taps(params: PyTree, stats: PyTree, x: Array) -> PyTree:
        return model.apply(params, stats, x, False, None)[0].taps

    found = jax.eval_shape(taps, *network.weights, x)
    sides = {n: min(found[n].shape[1:3]) for n in model.blocks if n in found}
    fine = [n for n, side in sides.items() if side >= LEAST]
    name = fine[-1] if fine else max(sides, key=sides.__getitem__)
    return name, int(sides[name])


def measured(
    result: Result, trial: Trial, seen: Seen, rows: np.ndarray
) -> list[pd.DataFrame]:
    """Shares in the lungs' area and, on the simulated twin, on the planted lesion."""
    config, held = result.store.config, result.held
    drawn = {"replicates": config.audit.replicates, "seed": config.seed}
    drawn |= {"level": config.audit.level}
    patient, made = held.patient[rows], []
    for kind, found in seen.maps.items():
        made.append(regions.central_share(found, patient, what=kind, **drawn))
        if "lesion" in held.table:
            text = held.table["lesion"].fillna("").to_numpy(str)[rows]
            hit = (seen.called == seen.y) & (text != "")
            mask = phantom.masks(list(text[hit]), seen.x.shape[1])
            what = f"{kind} on the planted lesion, hits"
            mine = patient[hit]
            made.append(regions.share_on(found[hit], mask, mine, what=what, **drawn))
    return [part.assign(system=name_of(trial)) for part in made]


def checked(result: Result, trial: Trial, seen: Seen, rows: np.ndarray) -> pd.DataFrame:
    """The randomised-weights check of Grad-CAM, on fewer images."""
    network, config = trial.network, result.store.config
    found = sanity.sanity(
        network.model,
        *network.weights,
        seen.x[:CHECKED],
        seen.called[:CHECKED],
        key(config.seed, "sanity", network.name),
        tap=tap_of(network)[0],
        patient=result.held.patient[rows[:CHECKED]],
        replicates=config.audit.replicates,
    )
    return found.assign(system=name_of(trial))


def overlays(result: Result, trial: Trial, seen: Seen, kind: str) -> Figure:
    """The surest hits and misses of each class, beside their maps."""
    spec, lines = result.dataset.spec, {}
    for c, name in enumerate(spec.classes):
        for word, right in ("hits", True), ("misses", False):
            mine = np.flatnonzero((seen.y == c) & ((seen.called == c) == right))
            surest = mine[np.argsort(-seen.sure[mine], kind="stable")][:SHOWN]
            lines[f"{name}, {word}"] = [
                image_figures.Seen(
                    seen.x[i, ..., 0],
                    seen.maps[kind][i],
                    name,
                    spec.classes[seen.called[i]],
                    float(seen.sure[i]),
                )
                for i in surest
            ]
    name, (tap, cells) = name_of(trial), tap_of(trial.network)
    figure = image_figures.overlays(
        lines,
        title=f"{kind}: {name}",
        simulated=spec.simulated,
        outline=regions.lungs(*seen.x.shape[1:3]),
    )
    caption = (
        f"{kind} of {name}, layer {tap} ({cells} x {cells} cells): the surest hits and"
        " the surest misses of each class, and what speaks for the called class. The"
        " white line is the lungs' area"
    )
    file = f"{kind}_{trial.arm.model}_{trial.about['start']}".lower()
    file = file.replace("++", "_plus").replace("-", "_")
    return picture(result.store, file, figure, caption)


def _shaped(table: pd.DataFrame) -> pd.DataFrame:
    """For the page: network, what, value with interval, chance, images, note."""
    names = {"system": "network", "what": "of", "text": "value"}
    names |= {"chance": EVEN, "n": "images", "reason": "note"}
    return table.assign(text=texts(table))[list(names)].rename(columns=names)


def _read(share: pd.DataFrame, check: pd.DataFrame) -> list[str]:
    """The tables in words: each network's Grad-CAM, then its sanity check."""
    said = []
    for name, part in share.groupby("system", sort=False):
        parts = []
        for r in part[~part["what"].str.contains("++", regex=False)].itertuples():
            where = r.what.removeprefix("Grad-CAM ")
            if r.status != OK:
                parts.append(f"{where} {r.status} ({r.reason})")
                continue
            text = interval_text(r.value, r.low, r.high)
            parts.append(f"{text} {where}, {_against(r)} {r.chance:.2f}")
        last = check[check["system"] == name].iloc[-1]
        text = interval_text(last.value, last.low, last.high)
        said.append(
            f"**{name}**: share of its Grad-CAM {'; '.join(parts)} of an even map. With"
            f" all weights random, rank correlation with the trained map: {text}."
        )
    return said


def _against(r: pd.Series) -> str:
    if r.low > r.chance:
        return "more than the"
    return "less than the" if r.high < r.chance else "not told from the"
