// What a report does: its tables sort and filter, its charts are drawn and can be saved.
// Everything stands in the page; nothing is fetched. Words go in as text, never as HTML.
"use strict";

// ---- tables ----

function enliven(figure) {
  const table = figure.querySelector("table");
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  const search = figure.querySelector("input");
  const menus = [...figure.querySelectorAll("select")];
  const count = figure.querySelector("output");
  const words = rows.map((row) => row.textContent.toLowerCase());
  const tools = figure.querySelector(".tools"); // a short table has none

  function filter() {
    const word = search.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, i) => {
      const chosen = menus.every(
        (menu) => !menu.value || row.cells[menu.dataset.column].textContent === menu.value,
      );
      row.hidden = !(chosen && words[i].includes(word));
      shown += !row.hidden;
    });
    count.textContent = `${shown} of ${rows.length} rows`;
    // What a menu has fixed is the same in every row: its column can go.
    for (const { value, dataset } of menus) {
      for (const row of [table.tHead.rows[0], ...rows]) {
        row.cells[dataset.column].hidden = value !== "";
      }
    }
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      table.tBodies[0].append(...sorted(rows, column, head.className === "num", up));
    });
  });
  if (!tools) return;
  search.addEventListener("input", filter);
  menus.forEach((menu) => menu.addEventListener("change", filter));
  tools.hidden = false;
  filter();
}

const alphabet = new Intl.Collator("en", { numeric: true });

// Numbers by their keys; what has none (NOT_ESTIMABLE, SUPPRESSED, "<10") comes last.
function sorted(rows, column, numeric, up) {
  const sign = up ? 1 : -1;
  const key = (row) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent;
    return cell.dataset.key === undefined ? NaN : Number(cell.dataset.key);
  };
  const compare = (a, b) => {
    if (!numeric) return sign * alphabet.compare(a, b);
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return sign * (a - b);
  };
  return [...rows].sort((a, b) => compare(key(a), key(b)));
}

// ---- charts ----

// Small multiples stand in as many columns as fit, and share the width that is left.
function fitted(spec, width) {
  if (!spec.facet) return spec;
  const { margin, inner, square } = spec.usermeta; // what axes take: left, each panel
  const least = spec.spec.width;
  const room = (width - margin) / (least + inner);
  const columns = Math.min(Math.max(Math.floor(room), 1), spec.columns);
  const share = Math.floor((width - margin) / columns - inner);
  const panel = Math.min(Math.max(share, columns > 1 ? least : 110), 1.4 * least);
  const height = square ? panel : spec.spec.height;
  const legend = { ...spec.config.legend, columns: width < 480 ? 1 : 0 };
  const config = { ...spec.config, legend };
  return { ...spec, columns, config, spec: { ...spec.spec, width: panel, height } };
}

async function draw(figure) {
  const box = figure.querySelector(".vega");
  const spec = JSON.parse(figure.querySelector("script").textContent);
  const menus = figure.querySelector(".menus");
  const options = { actions: false, renderer: "svg", ast: true, bind: menus, logLevel: 1 };
  let made = null;
  let width = 0;

  async function render() {
    if (box.clientWidth === width) return;
    width = box.clientWidth;
    const state = made ? picked(spec, made.view) : {};
    let room = width;
    for (let turn = 0; turn < 2; turn++) { // axes may need more than was left to them
      made?.finalize();
      menus.replaceChildren();
      made = await vegaEmbed(box, fitted(spec, room), options);
      const over = box.querySelector("svg").clientWidth - width;
      if (over <= 0 || !spec.facet) break;
      room -= over;
    }
    for (const [name, value] of Object.entries(state)) made.view.signal(name, value);
    await made.view.runAsync();
    const svg = box.querySelector("svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", box.dataset.alt);
  }

  await render();
  figure.querySelectorAll("button[data-save]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => save(made.view, button.dataset.save, box.id));
  });
  let waiting = 0;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(render, 150);
  });
}

// What the reader chose in the menus, to be kept when the chart is drawn anew.
function picked(spec, view) {
  const names = (spec.params ?? []).filter((p) => p.bind).map((p) => p.name);
  return Object.fromEntries(names.map((name) => [name, view.signal(name)]));
}

async function save(view, kind, name) {
  const link = document.createElement("a");
  link.href = await view.toImageURL(kind, 3);
  link.download = `${name}.${kind}`;
  link.click();
}

document.querySelectorAll("figure[data-interactive]").forEach(enliven);
for (const figure of document.querySelectorAll("figure[data-chart]")) await draw(figure);
document.documentElement.dataset.ready = "yes";
