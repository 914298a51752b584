"""Who is trained on and who is tested on: splits by patient, stratified, stable.

Each patient draws one number from (seed, name). Within a stratum patients stand in the
order of these numbers on a circle whose length is the stratum's rows; the first arc is
the test, the next validation, the rest training. So each split's share of a stratum is
off by one patient's rows at most, where a circle starts is random (a stratum of one
patient is not always training), and a patient more moves only those at the arcs' ends.
"""

import numpy as np
import pandas as pd

from equity_jax.keys import generator
from equity_jax.types import SPLITS, TEST, TRAIN, VALID, InputError


def split(
    patient: np.ndarray,
    strata: np.ndarray,
    valid: float,
    test: float,
    seed: int,
    official: np.ndarray | None = None,
) -> np.ndarray:
    """Splits of N rows, int8[N]; no patient is in two of them.

    Args:
        patient: str[N].
        strata: str[N], class and group of a row; a patient of several strata counts in
            the one that most of its rows have (ties: by name).
        valid: share of the rows.
        test: share of the rows.
        seed: of the draw; the same for the same (seed, patients, strata).
        official: str[N], what the data say: "test"; "train|valid" where they leave a
            choice, which is then drawn in the same proportions; "" for no word.

    Raises:
        InputError: shares that leave no training rows; a patient in two official
            splits; an official split that does not exist.

    Example:
        >>> split(np.array(["a", "b"]), np.array(["", ""]), 0.0, 0.5, 0).tolist()
        [2, 0]
    """
    if not (valid >= 0 and test >= 0 and valid + test < 1):
        raise InputError(
            f"data.valid={valid} and data.test={test}: expected shares of a sum below 1"
        )
    shares = {TEST: test, VALID: valid, TRAIN: 1.0 - valid - test}
    said = np.full(len(patient), "") if official is None else np.asarray(official, str)
    people = _people(np.asarray(patient, str), np.asarray(strata, str), said)
    people["u"] = [generator(seed, "split", name).random() for name in people.index]
    made = pd.Series(TRAIN, people.index, np.int8)
    for (words, stratum), mine in people.groupby(["official", "stratum"]):
        start = generator(seed, "split start", f"{words}/{stratum}").random()
        made[mine.index] = _arcs(mine, start, _allowed(words, shares))
    return made[np.asarray(patient, str)].to_numpy(np.int8)


def _people(
    patient: np.ndarray, strata: np.ndarray, official: np.ndarray
) -> pd.DataFrame:
    """One row a patient, by name: rows, stratum, official."""
    frame = pd.DataFrame({"patient": patient, "stratum": strata, "official": official})
    words = frame.groupby("patient")["official"].agg(["nunique", "first", "last"])
    if (words["nunique"] > 1).any():
        name, (_, first, *_) = next(words[words["nunique"] > 1].iterrows())
        raise InputError(
            f"patient {name!r} is in two official splits ({first!r} and others); "
            "expected one split a patient"
        )
    sizes = frame.groupby(["patient", "stratum"]).size().rename("n").reset_index()
    sizes = sizes.sort_values(
        ["patient", "n", "stratum"], ascending=[True, False, True]
    )
    people = sizes.drop_duplicates("patient").set_index("patient")[["stratum"]]
    return people.assign(
        rows=frame.groupby("patient").size(), official=words["first"]
    ).sort_index()


def _allowed(words: str, shares: dict[int, float]) -> dict[int, float]:
    """Shares of the splits that `words` leaves open, of a sum of 1."""
    if not words:
        return shares
    unknown = set(words.split("|")) - set(SPLITS)
    if unknown:
        known = ", ".join(SPLITS)
        raise InputError(f"official split {words!r}; expected of {known}, or empty")
    open_to = {SPLITS[word] for word in words.split("|")}
    kept = {code: share for code, share in shares.items() if code in open_to}
    total = sum(kept.values())
    if not total:  # only splits that the config wants empty: the data's word counts
        return {code: 1 / len(kept) for code in kept}
    return {code: share / total for code, share in kept.items()}


def _arcs(people: pd.DataFrame, start: float, shares: dict[int, float]) -> np.ndarray:
    """Codes int8[P]: a patient belongs to the arc that its middle lies on."""
    order = people.assign(name=people.index).sort_values(["u", "name"])
    rows = order["rows"].to_numpy(np.float64)
    place = ((np.cumsum(rows) - rows / 2) / rows.sum() + start) % 1.0
    ends = np.cumsum(list(shares.values()))[:-1]
    codes = np.array(list(shares), np.int8)[np.searchsorted(ends, place, side="right")]
    return pd.Series(codes, order.index)[people.index].to_numpy()
