import base64
import hashlib
import json
import math
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from equity_jax.audit.pages import figures, page, words
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
    assert not tags.all("script") and "@import" not in html
    assert "http:" not in html and "https:" not in html
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


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0421, "0.042"), (0.5, "0.50"), (0.0003, "0.0003"), (3e-7, "<0.0001")],
)
def test_p_text(p, text):
    assert words.p_text(p) == text
    assert words.p_text(math.nan) == "–"


def test_cells_know_numbers_and_what_they_sort_by():
    frame = pd.DataFrame(
        {
            "group": ["1", "2", "3", "4"],
            "value": ["−0.20 [−0.30, −0.10]", "SUPPRESSED", "1,200 [9, 2,000]", "0"],
            "rows": ["<10", "1,204", "12", "–"],
            "p": ["<0.0001", "0.50", "0.04", "–"],
            "status": ["SUPPRESSED"] * 4,
            "word": ["3 rows", "4", "5", "6"],
        }
    )
    cells = words.cells(frame)
    assert cells.kinds == ["word", "num", "num", "num", "word", "word"]
    assert cells.numeric == [False, True, True, True, False, False]
    keys = list(zip(*cells.keys, strict=True))
    assert keys[1] == (-0.2, None, 1200.0, 0.0)
    assert keys[2] == (None, 1204.0, 12.0, None)  # a hidden count has no place
    assert keys[3] == (0.0001, 0.5, 0.04, None)  # a small p-value has


def test_json_in_a_script_element_cannot_end_it():
    given = {"a": "</script><!--", "b": "x & y", "c": "\u2028\u2029"}
    text = str(words.script_json(given))
    assert not set("<>&\u2028\u2029") & set(text) and json.loads(text) == given
    with pytest.raises(ValueError, match="JSON"):
        words.script_json(math.nan)


def test_markdown_has_no_links_or_pictures_of_a_group_name():
    assert "](" not in words.plain("![x](http://a.example/b.png)")
    assert words.plain("<b>\n# a | b") == "&lt;b> # a \\| b"


def test_an_interval_stays_on_one_line():
    text = str(words.rich("a −0.08 [−0.1, 1,200] & b [c, d]"))
    assert text == 'a <span class="whole">−0.08 [−0.1, 1,200]</span> &amp; b [c, d]'


def interactive(directory, **choose):
    frame = pd.DataFrame({"group": list("abcdefghij"), "metric": ["x", "y"] * 5})
    table = page.Table("T", frame, interactive=True, choose=choose)
    return page.Page("P", "", False, [page.Section("S", (), [table], items=[EVIL])])


def test_interactive_table_brings_its_script_and_a_policy_for_it_alone(tmp_path):
    page.write(interactive(tmp_path, metric="y"), tmp_path)
    html = (tmp_path / "report.html").read_text()
    script = html.split('<script type="module">')[1].split("</script>")[0]
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = [m["content"] for m in Tags(html).all("meta") if "http-equiv" in m]
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["script-src"] == f"'sha256-{known}'"
    assert parts["default-src"] == "'none'"
    assert [o.get("value", "x") for o in Tags(html).all("option")] == ["", "x", "x"]
    markdown = (tmp_path / "report.md").read_text()
    assert "| b | y |" in markdown and "| a | x |" not in markdown
    assert "- &lt;script>alert(1)&lt;/script>" in markdown


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
