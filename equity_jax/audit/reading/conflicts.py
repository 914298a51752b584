"""Attribute records of one patient that disagree: four policies, and the count.

Race and insurance are recorded at every admission, and the records of one patient can
contradict each other (Polubriaginof et al. 2019 found it to be common). An audit must
say which record it believed, and show that another choice would not have told another
story. "" is "not recorded": it contradicts nothing and never wins.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from equity_jax.types import InputError

POLICIES = ("as_recorded", "first", "most_frequent", "exclude")


class Conflicts(NamedTuple):
    """What disagreed, whatever the policy, and what the policy did.

    patients: with two or more different records; rows: of these patients; pairs:
    (group, group), in alphabetical order -> patients who have both, commonest first;
    filled: rows without a record that took their patient's; keep: bool[N], False for
    the rows that "exclude" leaves out.
    """

    patients: int
    rows: int
    pairs: dict[tuple[str, str], int]
    filled: int
    keep: np.ndarray


class _Records(NamedTuple):
    """One line for each patient and recorded value, patients together: int[U] each.

    count: rows; first: where the value first stands; again: whether the patient has
    another line.
    """

    patient: np.ndarray
    value: np.ndarray
    count: np.ndarray
    first: np.ndarray
    again: np.ndarray


def resolve(
    values: np.ndarray, patient: np.ndarray, policy: str
) -> tuple[np.ndarray, Conflicts]:
    """The attribute of every row under a policy.

    as_recorded: every row keeps its own record. first: every row takes its patient's
    first record, in the order of the rows. most_frequent: the record that most of the
    patient's rows have; among equals, the one seen first. exclude: the rows of
    patients whose records disagree become "" and False in `keep`; others stay.

    Args:
        values: str[N], "" = not recorded.
        patient: int or str[N].
        policy: one of POLICIES.

    Returns:
        (str[N], Conflicts).

    Raises:
        InputError: an unknown policy, or arrays of different lengths.

    Example:
        >>> race, patient = np.array(["a", "", "b", "b"]), np.array([1, 1, 1, 2])
        >>> found, conflicts = resolve(race, patient, "first")
        >>> found.tolist(), conflicts.patients, conflicts.pairs
        (['a', 'a', 'a', 'b'], 1, {('a', 'b'): 1})
    """
    if policy not in POLICIES:
        known = ", ".join(POLICIES)
        raise InputError(f"unknown conflict policy {policy!r}; known: {known}")
    values, patient = np.asarray(values).astype(str), np.asarray(patient)
    if len(values) != len(patient):
        raise InputError(f"{len(values)} attribute values, {len(patient)} patients")
    code, names = pd.factorize(values)
    names = np.asarray(names, values.dtype)
    who = pd.factorize(patient)[0]
    recorded = np.append(names != "", False)[code]
    records = _records(who[recorded], code[recorded], np.flatnonzero(recorded))
    disputed = np.isin(who, records.patient[records.again])
    keep, found = np.ones(len(values), bool), values
    if policy == "exclude":
        keep, found = ~disputed, np.where(disputed, "", values)
    elif policy != "as_recorded":
        found = _unite(records, who, values, names, policy)
    return found, Conflicts(
        patients=len(np.unique(records.patient[records.again])),
        rows=int(disputed.sum()),
        pairs=_pairs(records, names),
        filled=int(np.sum(~recorded & (found != ""))),
        keep=keep,
    )


def _records(who: np.ndarray, code: np.ndarray, row: np.ndarray) -> _Records:
    width = int(code.max(initial=0)) + 1
    both, first, count = np.unique(
        who * width + code, return_index=True, return_counts=True
    )
    patient = both // width
    same = patient[1:] == patient[:-1]
    again = np.append(False, same) | np.append(same, False)
    return _Records(patient, both % width, count, row[first], again[: len(both)])


def _unite(
    records: _Records,
    who: np.ndarray,
    values: np.ndarray,
    names: np.ndarray,
    policy: str,
) -> np.ndarray:
    """str[N]: one value a patient; patients without any record stay ""."""
    rank = -records.count if policy == "most_frequent" else np.zeros_like(records.count)
    order = np.lexsort((records.first, rank, records.patient))
    patient, winner = np.unique(records.patient[order], return_index=True)
    chosen = np.full(int(who.max(initial=-1)) + 1, -1)
    chosen[patient] = records.value[order[winner]]
    return np.append(names, "")[chosen[who]].astype(values.dtype)


def _pairs(records: _Records, names: np.ndarray) -> dict[tuple[str, str], int]:
    patient, value = records.patient[records.again], records.value[records.again]
    who = np.unique(patient, return_inverse=True)[1]
    kinds, value = np.unique(value, return_inverse=True)
    groups, shape = names[kinds], (len(patient), len(kinds))
    member = sparse.csr_array((np.ones(len(who), int), (who, value)), shape=shape)
    together = (member.T @ member).toarray()
    found = {
        (str(min(a, b)), str(max(a, b))): int(together[i, j])
        for i, a in enumerate(groups)
        for j, b in enumerate(groups[:i])
        if together[i, j]
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
