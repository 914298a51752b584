import math
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from equity_jax.audit import figures, page
from equity_jax.types import InputError

EVIL = "<script>alert(1)</script>"


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


def made(directory, simulated=True, title="Deaths & groups"):
    (directory / "figures").mkdir(exist_ok=True)
    counts = pd.DataFrame([[3, 1]], index=["A"], columns=["kept", "lost"])
    picture = figures.stack(counts, title="t", xlabel="x", simulated=simulated)
    figures.save(picture, directory / "figures" / "cells.png")
    frame = pd.DataFrame(
        {
            "group": ["White", EVIL, "a | b"],
            "rows": [1500, 8, 40],
            "deviance": ["0.83 [0.80, 0.86]", "NOT_ESTIMABLE", "0.9 [0.7, 1.1]"],
            "share": [0.25, np.nan, -0.5],
        }
    )
    table = page.Table("Deviance **by** group", frame, f"Note {EVIL}")
    figure = page.Figure("figures/cells.png", "Cells kept", "Bar of cells kept")
    return page.Page(
        title,
        "Who is served worse",
        simulated,
        [
            page.Section("Result", ["**Bold** and `code`", EVIL], [table], [figure]),
            page.Section("Methods", ["Bootstrap."]),
        ],
        [("Who is served worst", EVIL)],
    )


@pytest.fixture
def written(tmp_path):
    page.write(made(tmp_path), tmp_path)
    return tmp_path


def test_one_file_that_needs_nothing_else(written):
    html = (written / "report.html").read_text()
    tags = Tags(html)
    assert not tags.all("script") and "http" not in html and "@import" not in html
    assert [i["src"][:22] for i in tags.all("img")] == ["data:image/png;base64,"]
    assert all(
        i["href"].startswith(("#", "data:")) for i in tags.all("a") + tags.all("link")
    )
    names = sorted(p.name for p in written.iterdir())
    assert names == ["figures", "report.html", "report.md"]


def test_what_is_given_shows_as_text(written):
    html = (written / "report.html").read_text()
    assert EVIL not in html and html.count("&lt;script&gt;") == 4
    assert EVIL in Tags(html).words
    markdown = (written / "report.md").read_text()
    assert "<script" not in markdown and "a \\| b" in markdown
    assert "<strong>Bold</strong> and <code>code</code>" in html


def test_semantics(written):
    tags = Tags((written / "report.html").read_text())
    assert tags.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in tags.tags if tag in ("h1", "h2", "h3")]
    assert levels == [1, 2, 2]
    scopes = [h["scope"] for h in tags.all("th")]
    assert scopes.count("col") == 4 and scopes.count("row") == 3
    assert len(tags.all("caption")) == len(tags.all("table")) == 1
    assert all(i["alt"] == "Bar of cells kept" for i in tags.all("img"))
    ids = [a["id"] for _, a in tags.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in tags.all("a")} <= set(ids)
    boxes = [a for _, a in tags.tags if a.get("role") == "region"]
    assert len(boxes) == 2 and all(b["tabindex"] == "0" for b in boxes)


def test_simulated_is_said_everywhere(tmp_path):
    page.write(made(tmp_path), tmp_path)
    html = (tmp_path / "report.html").read_text()
    for start, end in (
        ("<title>", "</title>"),
        ("<h1>", "</h1>"),
        ("<caption>", "</cap"),
    ):
        assert "SIMULATED" in html.split(start)[1].split(end)[0]
    assert "SIMULATED" in html.split("<figcaption>")[1].split("</figcaption>")[0]
    assert "SIMULATED" in html.split("</header>")[0].split('class="banner"')[1]
    markdown = (tmp_path / "report.md").read_text().splitlines()
    assert markdown[0].startswith("# SIMULATED")
    for line in markdown:
        if line.startswith(("**Table", "**Figure")):
            raise AssertionError(line)
    page.write(made(tmp_path, simulated=False), tmp_path)
    for name in ("report.html", "report.md"):
        assert "SIMULATED" not in (tmp_path / name).read_text()


def test_markdown_holds_the_tables_and_links_the_figures(written):
    markdown = (written / "report.md").read_text()
    assert "![Bar of cells kept](figures/cells.png)" in markdown
    assert "| White | 1,500 | 0.83 [0.80, 0.86] | 0.2500 |" in markdown
    assert "| 8 | NOT_ESTIMABLE | – |" in markdown


def test_the_same_page_gives_the_same_bytes(written, tmp_path):
    before = [(written / n).read_bytes() for n in ("report.html", "report.md")]
    page.write(made(tmp_path), tmp_path)
    assert before == [(written / n).read_bytes() for n in ("report.html", "report.md")]


def test_missing_figure_is_said(tmp_path):
    one = made(tmp_path)
    (tmp_path / "figures" / "cells.png").unlink()
    with pytest.raises(InputError, match="cells.png: no such figure"):
        page.write(one, tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.83214, 0.8012, 0.8619), "0.832 [0.801, 0.862]"),
        ((1.2, 0.4, 3.1), "1.2 [0.4, 3.1]"),
        ((1234.5, 1100.2, 1399.8), "1,234 [1,100, 1,400]"),
        ((-0.02, -0.05, 0.01), "−0.020 [−0.050, 0.010]"),
        ((-0.0001, -0.05, 0.01), "0.000 [−0.050, 0.010]"),
        ((1.0, 1.0, 1.0), "1.00 [1.00, 1.00]"),
        ((0.0, 0.0, 0.0), "0.0 [0.0, 0.0]"),
        ((0.5,), "0.500"),
        ((math.nan, math.nan, math.nan), "NOT_ESTIMABLE"),
    ],
)
def test_interval_text(numbers, text):
    assert page.interval_text(*numbers) == text


def test_number_text():
    given = [1500, np.int64(3), 0.25, -12.3456, math.nan, pd.NA, None, True, "a", 0.0]
    expected = ["1,500", "3", "0.2500", "−12.35", "–", "–", "–", "yes", "a", "0"]
    assert [page.number_text(x) for x in given] == expected


def audited(gap, low, status="OK"):
    common = dict(metric="deviance", system="erm/mixture", label="", patients=60)
    rows = [
        dict(contrast="group", group="all", reference="", n=1500, value=1.0),
        dict(contrast="gap", group="B", reference="A", n=40, value=gap),
        dict(contrast="worst", group="B", reference="", n=40, value=1.5),
    ]
    table = pd.DataFrame([common | r for r in rows]).assign(low=low, high=2.0)
    return table.assign(status=["OK", status, status])


def test_answer_says_who_how_much_how_sure_on_how_many():
    where = dict(metric="deviance", system="erm/mixture", unit="block")
    told = dict(page.answer(audited(0.5, 0.2), **where))
    assert list(told) == [
        "Who is served worst",
        "By how much",
        "How sure",
        "On how many",
    ]
    assert told["Who is served worst"] == "B: mean deviance 1.5 [0.2, 2.0]"
    assert told["By how much"] == "0.5 [0.2, 2.0] between B and A"
    assert "excludes 0" in told["How sure"]
    assert told["On how many"] == "1,500 rows in 60 blocks; B: 40 rows in 60"
    assert "contains 0" in dict(page.answer(audited(0.5, 0.0), **where))["How sure"]
    lost = dict(page.answer(audited(math.nan, math.nan, "NOT_ESTIMABLE"), **where))
    assert "NOT_ESTIMABLE" in lost["Who is served worst"]
    with pytest.raises(InputError, match="no row of the audit"):
        page.answer(
            audited(0.5, 0.2), metric="auroc", system="erm/mixture", unit="block"
        )
