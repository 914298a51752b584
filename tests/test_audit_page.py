import re
from types import SimpleNamespace

import browser
import numpy as np
import pandas as pd
import pytest
from reports import EVIL, report

from equity_jax.audit.pages import audit_names, audit_page, audit_text
from equity_jax.audit.pages.words import interval_text

MARKS = (
    ".vega svg .mark-symbol path, .vega svg .mark-line path, .vega svg .mark-rect path"
)


@pytest.fixture(scope="module")
def one():
    return report()


@pytest.fixture(scope="module")
def path(one, tmp_path_factory):
    return audit_page.write_report(one, tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def made_many():
    names = ("torch", "vendor"), ("Edema", "Effusion")
    return report(*names, simulated=True, crossed=False)


@pytest.fixture(scope="module")
def many(made_many, tmp_path_factory):
    return audit_page.write_report(made_many, tmp_path_factory.mktemp("many"))


@pytest.fixture(scope="module")
def chromium():
    with browser.started() as found:
        yield found


@pytest.fixture
def visit(chromium, path):
    with browser.opened(chromium, path) as found:
        yield found


# ---- the answer ----


def told(made):
    return dict(audit_text.answer(made, audit_names.primary(made)))


def test_answer_names_who_is_told_apart_and_on_how_many(one):
    said = told(one)
    assert said["Who is served worse"].startswith("Black: AUROC 0.80")
    assert said["Who is served worse"].endswith("against White (0.880 [0.867, 0.893])")
    assert said["By how much"].startswith("Black minus White: −0.080 [−0.109, −0.051]")
    assert "0.10 [0.04, 0.37]" in said["By how much"]  # the gap, whoever makes it
    assert "excludes 0" in said["How sure"] and "p < 0.0001" in said["How sure"]
    assert "9,433 rows of 7,546 patients" in said["On how many"]
    # the group of 42 rows has the highest AUROC, and nobody can say so
    assert "Hawaiian" not in "".join(said.values())


def test_answer_claims_nothing_where_the_gap_may_be_chance():
    said = told(report(null=True))
    assert said["Who is served worse"].startswith("No group can be told apart")
    assert "contains 0" in said["How sure"]
    assert not any(group in said["Who is served worse"] for group in ("Black", "White"))


def test_answer_says_that_some_differ_where_nobody_can_be_named():
    made = report()
    at = made.table.contrast == "band"
    made.table.loc[at, ["low", "high"]] = [0.0, 1.0]
    assert "cannot say which" in told(made)["Who is served worse"]


def test_answer_without_two_groups():
    made = report()
    at = made.table.contrast == "gap"
    made.table.loc[at, ["value", "low", "high"]] = np.nan
    made.table.loc[at, "status"] = "NOT_ESTIMABLE"
    assert told(made)["Who is served worse"].startswith("No groups can be compared")


@pytest.mark.parametrize(
    "metric", ["auroc", "fpr", "calibration_slope", "observed_expected"]
)
def test_told_apart_is_what_disjoint_bands_say(metric):
    rng = np.random.default_rng(3)
    right = {"calibration_slope": 1.0, "observed_expected": 1.0}.get(metric)
    distance = {"auroc": lambda x: -x, "fpr": lambda x: x}.get(
        metric,
        lambda x: abs(np.log(x)) if metric == "observed_expected" else abs(x - 1),
    )
    for _ in range(200):
        value = rng.uniform(0.5, 1.6, 4)
        low, high = value - rng.uniform(0, 0.3, 4), value + rng.uniform(0, 0.3, 4)
        names = np.array(list("abcd"))
        bands = pd.DataFrame({"group": names, "value": value, "low": low, "high": high})
        inside = [np.linspace(a, b, 2001) for a, b in zip(low, high, strict=True)]
        bad = [distance(x) for x in inside]
        if right is not None:  # the grid may step over the right value
            bad = [
                np.append(b, 0.0) if a <= right <= c else b
                for b, a, c in zip(bad, low, high, strict=True)
            ]
        expected = {
            names[i]
            for i in range(4)
            if any(bad[i].min() > bad[j].max() for j in range(4) if j != i)
        }
        found = audit_names.apart(bands, metric)
        assert {group for group, _ in found} == expected
        for group, better in found:
            i, j = "abcd".index(group), "abcd".index(better)
            assert bad[i].min() > bad[j].max()


@pytest.mark.parametrize(("metric", "sign"), [("auroc", 1), ("fpr", -1)])
def test_told_apart_prefers_the_intervals_of_pairs(metric, sign):
    ends = [("A", "B", -0.2, -0.1), ("C", "A", 0.05, 0.3), ("C", "B", -0.2, -0.15)]
    rows = pd.DataFrame(ends, columns=["group", "reference", "low", "high"])
    rows = rows.assign(contrast="pair", status="OK")
    if sign < 0:  # false alarms: the larger is the worse
        rows = rows.assign(low=-rows.high, high=-rows.low)
    # A loses to B by 0.1 at least, and to C by 0.05; C loses to B by 0.15
    assert audit_names.told_apart(rows, metric) == [("C", "B"), ("A", "B")]


def test_answer_takes_the_interval_of_the_pair():
    made = report()
    first = made.table[made.table.contrast == "band"].iloc[0].to_dict()
    pair = {"contrast": "pair", "group": "White", "reference": "Black"}
    pair |= {"metric": "auroc", "value": 0.08, "low": 0.03, "high": 0.13}
    made.table = pd.concat([made.table, pd.DataFrame([first | pair])])
    assert told(made)["By how much"].startswith("White minus Black: 0.08 [0.03, 0.13]")


def test_a_gap_that_adjustment_takes_away_is_said_so():
    made = report()
    made.tests["p_adjusted"] = 0.4
    assert "may be chance" in told(made)["How sure"]
    [gaps] = [f for c, f in frames(made).items() if c.startswith("Gap in")]
    assert gaps.Reading.tolist()[0] == "groups differ, before adjustment"


def test_rows_without_patients_are_said_so():
    made = report()
    made.meta["unit"] = "row"
    said = told(made)
    assert "No patient column" in said["How sure"]
    assert said["On how many"].splitlines()[0] == "9,433 rows"


def test_title_asks_about_every_model():
    made = report(("torch", "vendor"))
    del made.meta["title"]
    title = audit_page.page(made).title
    assert title == "Who is served worse by torch and vendor?"


def test_primary_is_the_first_of_everything(one):
    assert audit_names.primary(one) == ("torch", "", "race", "auroc")
    table = one.table[one.table.metric != "auroc"]
    assert audit_names.primary(SimpleNamespace(table=table)).metric == "brier"


# ---- the page as data ----


def frames(made):
    return {
        t.caption: t.frame for s in audit_page.page(made).sections for t in s.tables
    }


def test_every_number_of_the_table_is_on_the_page(one):
    [every] = [f for c, f in frames(one).items() if c.startswith("Every group and")]
    groups = one.table[one.table.contrast == "group"]
    assert len(every) == len(groups)
    known = {(r.Group, r.Attribute, r.Metric): r.Value for r in every.itertuples()}
    for row in groups.itertuples():
        value = known[row.group, row.attribute, audit_names.title(row.metric)]
        ok = row.status == "OK"
        assert value == (
            interval_text(row.value, row.low, row.high) if ok else row.status
        )


def test_small_groups_show_words_and_no_counts(one):
    shown = frames(one)
    for caption, frame in shown.items():
        mine = frame[frame[frame.columns[0]] == "a | b & c"]
        for row in mine.itertuples(index=False):
            cells = [str(c) for c in row if re.match(r"^[−\d]", str(c))]
            assert not cells, f"{caption}: {cells}"
    [missing] = [f for c, f in shown.items() if c.startswith("Numbers that are not")]
    assert "a | b & c" in set(missing.Group)
    assert {"SUPPRESSED", "NOT_ESTIMABLE"} == set(missing.Status)
    assert set(missing[missing.Status == "SUPPRESSED"].Rows) == {"<10"}


def test_a_hidden_number_of_positives_is_a_word(one):
    [every] = [f for c, f in frames(one).items() if c.startswith("Every group and")]
    row = every[every.Group == "Native Hawaiian or other Pacific Islander"].iloc[0]
    assert (row.Rows, row.Positives) == ("42", "SUPPRESSED")


def test_confusion_cells_and_their_shares(one):
    charts = {c.name: c for s in audit_page.page(one).sections for c in s.charts}
    cells = pd.DataFrame(charts["confusion"].spec["datasets"]["rows"])
    white = cells[(cells.panel == "White\n6,200 rows") & (cells.attribute == "race")]
    counts = one.confusion.set_index(["attribute", "group"]).loc["race", "White"]
    sick = counts.tp + counts.fn
    assert white["count"].tolist()[:2] == [f"{counts.tp:,}", f"{counts.fn:,}"]
    assert white.share.iloc[0] == pytest.approx(counts.tp / sick, rel=1e-4)
    tiny = cells[cells.panel == "a | b & c\n<10 rows"]
    assert set(tiny["count"]) == {"<10"} and set(tiny.percent) == {"suppressed"}
    assert tiny.share.isna().all()


def test_only_the_largest_groups_get_panels(one, monkeypatch):
    monkeypatch.setattr("equity_jax.audit.pages.audit_curves.PANELS", 2)
    charts = {c.name: c for s in audit_page.page(one).sections for c in s.charts}
    rows = pd.DataFrame(charts["roc"].spec["datasets"]["rows"])
    panels = rows[rows.attribute == "race"].panel
    assert set(panels) == {"White\n6,200 rows", "Black\n2,100 rows"}
    assert "2 largest" in charts["roc"].caption


def test_sections_come_in_the_reader_s_order(one):
    titles = [s.title for s in audit_page.page(one).sections]
    assert titles == [
        "Every gap at a glance",
        "Each group, with how sure we are",
        "ROC and calibration by group",
        "Confusion matrices by group",
        "Thresholds",
        "Every group, every metric",
        "Tests, and what these data could have found",
        "How far errors could move a difference",
        "What could not be estimated",
        "The data and the settings",
        "Methods and references",
    ]


def test_what_was_not_asked_for_has_no_section(one):
    bare = SimpleNamespace(**vars(one))
    for name in ("curves", "confusion", "policies", "power", "sensitivity", "tests"):
        setattr(bare, name, pd.DataFrame())
    page = audit_page.page(bare)
    assert not {"Thresholds", "Confusion matrices by group"} & {
        s.title for s in page.sections
    }
    assert dict(page.answer)["Who is served worse"].startswith("Black")


def test_models_on_the_same_rows_are_compared(many):
    markdown = (many.parent / "report.md").read_text()
    assert "## Model against model" in markdown and "vendor minus torch" in markdown
    assert (many.parent / "figures" / "models.png").exists()


def test_simulated_is_on_every_picture_and_caption(made_many, many):
    for section in audit_page.page(made_many).sections:
        for chart in section.charts:
            assert chart.spec["title"]["subtitle"] == "SIMULATED"
    html = many.read_text()
    captions = re.findall(r"<figcaption>.*?</figcaption>", html)
    assert captions and all("SIMULATED" in c for c in captions)


# ---- the files ----


def test_files(path):
    names = {p.name for p in path.parent.iterdir()}
    assert names == {"report.html", "report.md", "figures"}
    pictures = sorted(p.name for p in (path.parent / "figures").iterdir())
    assert pictures == [
        "calibration.png",
        "confusion.png",
        "groups_1_race.png",
        "groups_2_sex.png",
        "groups_3_race_by_sex.png",
        "policies.png",
        "roc.png",
    ]
    markdown = (path.parent / "report.md").read_text()
    links = re.findall(r"^!\[.*\]\((.*)\)$", markdown, re.M)
    assert sorted(links) == [f"figures/{name}" for name in pictures]
    assert "<script" not in markdown and "&lt;script>alert(1)" in markdown


def test_the_same_report_gives_the_same_bytes(one, path, tmp_path):
    audit_page.write_report(one, tmp_path)
    for file in ("report.html", "report.md", "figures/roc.png", "figures/policies.png"):
        assert (tmp_path / file).read_bytes() == (path.parent / file).read_bytes()


def test_html_holds_what_it_is_given_as_text(path):
    html = path.read_text()
    assert EVIL not in html
    for spec in re.findall(r'<script type="application/json">(.*?)</script>', html):
        assert not set("<>&") & set(spec)
    tags = re.findall(
        r"<(?:script|link|img|iframe|object)\b[^>]*>",
        html.split('<script type="module">')[0],
    )
    assert not [tag for tag in tags if "src=" in tag or "http" in tag]


# ---- in a browser ----


@pytest.mark.parametrize("name", ["path", "many"])
def test_opens_without_a_network_and_draws_every_chart(chromium, request, name):
    file = request.getfixturevalue(name)
    with browser.opened(chromium, file) as visit:
        assert visit.requests == [file.as_uri()]
        assert visit.problems == [] and visit.dialogs == []
        drawn = visit.page.eval_on_selector_all(
            "figure[data-chart]",
            f"all => all.map(f => f.querySelectorAll({MARKS!r}).length)",
        )
        assert len(drawn) >= 7 and min(drawn) >= 3
        names = visit.page.eval_on_selector_all(
            ".vega svg", "all => all.map(s => [s.getAttribute('role'), s.ariaLabel])"
        )
        assert len(names) == len(drawn)
        assert all(role == "img" and len(text) > 40 for role, text in names)


def test_a_group_named_as_a_script_is_text_everywhere(visit):
    page = visit.page
    found = page.evaluate(
        f"""() => {{
        const has = (e) => e.textContent.includes({EVIL!r});
        return ["td, th", ".vega svg :is(text, tspan)", "li", "option"]
          .map((s) => [...document.querySelectorAll(s)].filter(has).length);
        }}"""
    )
    assert found[0] > 10 and found[1] > 2 and found[2] == 1
    point = page.locator('#groups_1_race .mark-symbol [aria-label*="<script>"]')
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert EVIL in tip.inner_text() and tip.locator("script").count() == 0
    assert visit.dialogs == [] and visit.problems == []


def test_no_script_but_ours_runs(visit):
    visit.page.evaluate(
        """() => {
        const s = document.createElement("script");
        s.textContent = "window.broken = 1";
        document.body.append(s);
        const image = "<img src=x onerror='broken = 1'>";
        document.body.insertAdjacentHTML("beforeend", image);
        }"""
    )
    assert visit.page.evaluate("window.broken") is None
    assert visit.problems  # the policy says so in the console


def every(page):
    return page.locator("figure[data-interactive]", has_text="Every group and inter")


def column(table, number):
    shown = table.locator("tbody tr:not([hidden])")
    return shown.evaluate_all(f"all => all.map(r => r.cells[{number}].textContent)")


def test_sorting_numbers_puts_words_last(visit):
    table = every(visit.page)
    head = table.get_by_role("columnheader", name="Value")
    at = head.evaluate("e => e.cellIndex")
    for direction in ("ascending", "descending"):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == direction
        texts = column(table, at)
        words = [t for t in texts if t in ("SUPPRESSED", "NOT_ESTIMABLE")]
        numbers = [float(t.split(" ")[0]) for t in texts[: len(texts) - len(words)]]
        assert len(words) == 3 and texts[-3:] == words
        assert numbers == sorted(numbers, reverse=direction == "descending")
    rows = table.get_by_role("columnheader", name="Rows")
    rows.get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    texts = column(table, rows.evaluate("e => e.cellIndex"))
    counts = [int(t.replace(",", "")) for t in texts if t != "<10"]
    assert counts == sorted(counts) and texts[-3:] == ["<10"] * 3


def test_filter_and_menus_count_the_rows(visit):
    table = every(visit.page)
    count, search = table.get_by_role("status"), table.get_by_label("Show rows with")
    assert count.text_content() == "26 of 156 rows"
    search.fill("black")
    assert set(column(table, 0)) == {"Black", "Black × F", "Black × M"}
    assert count.text_content() == "3 of 156 rows"
    table.get_by_label("Metric").select_option("")
    assert count.text_content() == "18 of 156 rows"
    table.get_by_label("Attribute").select_option("race")
    assert count.text_content() == "6 of 156 rows"
    search.fill("<script>")
    assert set(column(table, 0)) == {EVIL}
    search.fill("no such group")
    assert count.text_content() == "0 of 156 rows"


def test_a_chart_s_menu_changes_what_it_shows(visit):
    figure = visit.page.locator("figure[data-chart]").first
    assert "AUROC by race" in figure.locator("svg").text_content()
    figure.get_by_label("Metric").select_option("recall (sensitivity)")
    text = figure.locator("svg")
    browser_text = text.text_content()
    assert "recall (sensitivity) by race" in browser_text
    assert "not estimable:" in browser_text and "suppressed" in browser_text
    # after the page is made narrower the choice still holds
    visit.page.set_viewport_size({"width": 600, "height": 800})
    visit.page.wait_for_function(
        "() => document.querySelector('.vega svg').getBoundingClientRect().width < 600"
    )
    assert "recall (sensitivity) by race" in figure.locator("svg").text_content()
    assert figure.get_by_label("Metric").input_value() == "recall (sensitivity)"
    assert visit.problems == []


@pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg")])
def test_every_figure_can_be_saved(visit, kind, start):
    figure = visit.page.locator("figure[data-chart]").nth(3)
    button = figure.get_by_role("button", name=f"Save Figure 4 as {kind}")
    button.focus()
    with visit.page.expect_download() as waiting:
        visit.page.keyboard.press("Enter")
    saved = waiting.value
    assert saved.suggested_filename == f"roc.{kind.lower()}"
    content = saved.path().read_bytes()
    assert content.startswith(start) and len(content) > 10_000


def test_keyboard_alone(visit):
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    box = page.locator(".skip").bounding_box()
    assert box["x"] >= 0 and box["y"] >= 0  # seen once it has the focus
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    head = every(page).get_by_role("columnheader", name="Group")
    head.get_by_role("button").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")  # reached as a reader would
    style = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(style) == "solid"
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "ascending"
    missed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, summary, a")]
        .filter((e) => !e.closest("[hidden]") && e.tabIndex < 0).length"""
    )
    assert missed == 0


def test_a_screen_reader_finds_its_way(visit):
    page = visit.page
    landmarks = page.evaluate(
        """() => ["header", "nav[aria-label]", "main", "footer", "h1"]
        .map((s) => document.querySelectorAll(s).length)"""
    )
    assert landmarks == [1, 1, 1, 1, 1]
    bare = page.evaluate(
        """() => ({
        tables: document.querySelectorAll("table:not(:has(caption))").length,
        heads: document.querySelectorAll("th:not([scope])").length,
        controls: [...document.querySelectorAll("input, select")]
          .filter((e) => !e.labels.length).length,
        live: document.querySelectorAll(".tools:not([hidden]) output:not([aria-live])")
          .length,
        charts: document.querySelectorAll("figure[data-chart]:not(:has(details table))")
          .length,
        ids: document.querySelectorAll("[id]").length
          - new Set([...document.querySelectorAll("[id]")].map((e) => e.id)).size,
        })"""
    )
    assert bare == dict.fromkeys(bare, 0)


@pytest.mark.parametrize(
    ("name", "width"), [("path", 375), ("many", 375), ("many", 1100)]
)
def test_nothing_scrolls_sideways_on_a_phone_or_a_desk(chromium, request, name, width):
    file = request.getfixturevalue(name)
    with browser.opened(chromium, file, width=width, height=700) as visit:
        page = visit.page
        assert page.evaluate("document.documentElement.scrollWidth") == width
        wide = page.evaluate(
            """() => [...document.querySelectorAll(".vega svg")]
            .filter((s) => s.clientWidth > s.closest(".box").clientWidth)
            .map((s) => s.closest(".vega").id)"""
        )
        assert wide == [] and visit.problems == []


def test_dark_mode_keeps_pictures_on_white(chromium, path):
    options = {"color_scheme": "dark", "ready": False}
    with browser.opened(chromium, path, **options) as visit:
        color = "e => getComputedStyle(e).backgroundColor"
        body, card = (
            visit.page.eval_on_selector(s, color) for s in ("body", ".picture")
        )
        assert card == "rgb(255, 255, 255)"
        assert max(map(int, re.findall(r"\d+", body))) < 60


def test_without_javascript_the_tables_stand(chromium, path):
    options = {"ready": False, "java_script_enabled": False}
    with browser.opened(chromium, path, **options) as visit:
        page = visit.page
        assert page.locator("noscript").first.is_visible()
        assert page.locator(".tools").first.is_hidden()
        assert page.get_by_text("Save PNG").first.is_hidden()
        assert page.locator("figure[data-interactive] tbody tr").first.is_visible()
