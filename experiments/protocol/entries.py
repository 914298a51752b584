"""The methods that are compared: what each is made of, and where it needs groups."""

from typing import NamedTuple

from equity_jax.types import InputError

ERM, BALANCED, POOLED = "erm", "oversample('both')", "mixture"


class Entry(NamedTuple):
    """One method of the comparison.

    name: in every table; uses: the last place where it must know the attribute ("none",
    "training", "validation", "test"; that trials are chosen by groups is not counted);
    paper; method, scheme: registry strings of what is trained; post: of what is made of
    the scores of the entry `method` afterwards; closed: of what is fitted by itself,
    without steps (after.CLOSED); cut: how scores become decisions, "youden" (one
    threshold for all, chosen on validation), "0.5" (its own), or "random" (a score is
    the chance of a positive decision). What is tuned of them is in knobs.KNOBS.
    """

    name: str
    uses: str
    paper: str
    method: str = ERM
    scheme: str = POOLED
    post: str = ""
    closed: str = ""
    cut: str = "youden"


def _trained(name: str, uses: str, paper: str) -> Entry:
    return Entry(name, uses, paper, method=name)


def _after(
    name: str, uses: str, paper: str, base: str = ERM, cut: str = "youden"
) -> Entry:
    return Entry(name, uses, paper, base, post=name, cut=cut)


def _closed(name: str, uses: str, paper: str, cut: str = "youden") -> Entry:
    return Entry(name, uses, paper, closed=name, cut=cut)


WEIGHTED = "inverse frequency"
CUI, CAO = "Cui et al. 2019", "Cao et al. 2019"
MENON, REN = "Menon et al. 2021", "Ren et al. 2020"
AGARWAL, KIRICHENKO = "Agarwal et al. 2018", "Kirichenko et al. 2023"
SAERENS = "Saerens et al. 2002"
PAPERS_DRO = "group_dro(by='both', balanced=True)"

ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        _trained(ERM, "none", "Vapnik 1992"),
        # weights and draws
        _trained("class_weighted", "none", "Rajpurkar et al. 2017"),
        _trained("class_weighted(True)", "none", "the same, normalized"),
        _trained("group_weighted", "training", WEIGHTED),
        _trained("cell_weighted", "training", WEIGHTED),
        _trained("sqrt_inverse('class')", "none", "Mahajan et al. 2018"),
        _trained("sqrt_inverse('group')", "training", "Mahajan et al. 2018"),
        _trained("sqrt_inverse('both')", "training", "Mahajan et al. 2018"),
        _trained("effective_number(by='class')", "none", CUI),
        _trained("effective_number(by='group')", "training", CUI),
        _trained("effective_number(by='both')", "training", CUI),
        _trained("oversample('class')", "none", "resampling"),
        _trained("oversample('group')", "training", "resampling"),
        _trained(BALANCED, "training", "Idrissi et al. 2022"),
        _trained("undersample('class')", "none", "resampling"),
        _trained("undersample('group')", "training", "resampling"),
        _trained("undersample('both')", "training", "Idrissi et al. 2022"),
        # margins and losses
        _trained("focal", "none", "Lin et al. 2017"),
        _trained("asymmetric_focal", "none", "Ridnik et al. 2021"),
        _trained("ldam", "none", CAO),
        _trained("logit_adjusted(by='class')", "none", MENON),
        _trained("logit_adjusted(by='group')", "training", MENON),
        _trained("balanced_softmax(by='class')", "none", REN),
        _trained("balanced_softmax(by='group')", "training", REN),
        _trained("label_smoothing", "none", "Szegedy et al. 2016"),
        _trained("auc_margin", "none", "Yuan et al. 2021"),
        _trained("soft_average_precision", "none", "Brown et al. 2020"),
        # robust
        _trained("group_dro", "training", "Sagawa et al. 2020, by group alone"),
        _trained(PAPERS_DRO, "training", "Sagawa et al. 2020"),
        _trained("cvar", "none", "Levy et al. 2020"),
        _trained("chi2", "none", "Hashimoto et al. 2018"),
        Entry("jtt", "none", "Liu et al. 2021", scheme="jtt"),
        _trained("lff", "none", "Nam et al. 2020"),
        Entry("eiil", "none", "Creager et al. 2021", "group_dro", "eiil"),
        # invariance
        _trained("irm", "training", "Arjovsky et al. 2019"),
        _trained("vrex", "training", "Krueger et al. 2021"),
        _trained("coral", "training", "Sun & Saenko 2016"),
        _trained("coral(given='')", "training", "the same, marginal"),
        _trained("mmd", "training", "Li et al. 2018"),
        _trained("mmd(given='')", "training", "the same, marginal"),
        _trained("mindiff", "training", "Prost et al. 2019"),
        _trained("dann", "training", "Ganin et al. 2016"),
        _trained("cdann", "training", "Li et al. 2018"),
        _trained("laftr", "training", "Madras et al. 2018"),
        _trained("arl", "none", "Lahoti et al. 2020"),
        # flat minima, averages, mixtures
        _trained("sam", "none", "Foret et al. 2021"),
        _trained("swa", "none", "Izmailov et al. 2018"),
        _trained("ema", "none", "Polyak & Juditsky 1992"),
        _trained("mixup", "none", "Zhang et al. 2018"),
        _trained("lisa", "training", "Yao et al. 2022"),
        # two stages
        Entry("crt", "none", "Kang et al. 2020", scheme="crt"),
        *(
            Entry(name, "training", KIRICHENKO, scheme=name)
            for name in ("last_layer('group')", "last_layer('both')")
        ),
        Entry("lp_ft", "none", "Kumar et al. 2022", scheme="lp_ft"),
        _closed("dfr('train')", "training", KIRICHENKO),
        _closed("dfr('valid')", "validation", KIRICHENKO),
        # post hoc
        _after("temperature", "none", "Guo et al. 2017"),
        _after("group_temperature", "test", "Pleiss et al. 2017"),
        _after("logit_adjustment(by='class')", "none", MENON, cut="0.5"),
        _after("logit_adjustment(by='group')", "test", MENON, cut="0.5"),
        _after("prior_correction(by='class')", "none", SAERENS, "class_weighted"),
        _after("prior_correction(by='group')", "test", SAERENS, BALANCED),
        _after("group_thresholds", "test", "Hardt et al. 2016", cut="0.5"),
        _after("equalized_odds", "test", "Hardt et al. 2016", cut="random"),
        # constraints
        _closed("reduction('demographic_parity')", "training", AGARWAL, "random"),
        _closed("reduction('equalized_odds')", "training", AGARWAL, "random"),
        _closed("reduction('equal_opportunity')", "training", AGARWAL, "random"),
        _closed("reduction('equalized_odds', 'mlp')", "training", AGARWAL, "random"),
    )
}
"""Name -> Entry, in the order of the tables."""


def chosen(names: tuple[str, ...]) -> list[Entry]:
    """The entries of a config, both baselines and what others start from among them.

    names: empty = all.

    Raises:
        InputError: an unknown name (the known ones are listed).

    Example:
        >>> [e.name for e in chosen(("focal",))]
        ['erm', "oversample('both')", 'focal']
    """
    unknown = [name for name in names if name not in ENTRIES]
    if unknown:
        known = ", ".join(ENTRIES)
        raise InputError(f"unknown entry {unknown[0]!r}; known: {known}")
    wanted = {ERM, BALANCED, *(names or ENTRIES)}
    wanted |= {ENTRIES[n].method for n in wanted if ENTRIES[n].post}
    return [entry for name, entry in ENTRIES.items() if name in wanted]
