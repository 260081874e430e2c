// Show a session looked at again, and have it processed again without the ticked tilts.
"use strict";

const part = (id) => document.getElementById(id);
const STATE_EVERY_MS = 1000;
let page = null;
let dropped = new Set(); // names of tilts: A#12

const query = (more = {}) => `?${new URLSearchParams({ results: page.shown, ...more })}`;

function made(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function load(results) {
  const reply = await fetch(`content?${new URLSearchParams({ results })}`);
  if (!reply.ok) {
    part("lines").textContent = await reply.text();
    return;
  }
  page = await reply.json();
  dropped = new Set(page.series.flatMap((one) => one.images)
    .filter((image) => image.dropped).map((image) => image.name));
  document.title = `${page.name} ${page.shown} – dualtilt inspect`;
  part("name").textContent = page.name;
  part("folder").textContent = page.folder;
  part("lines").textContent = page.lines.join("\n");
  part("process").hidden = !page.can_process;
  showResults();
  showSlices();
  part("pictures").replaceChildren(...page.pictures.map(pictureFigure));
  part("series").replaceChildren(...page.series.flatMap(seriesParts));
  showDropped();
}

function pictureFigure(name) {
  const figure = made("figure", {}, made("figcaption", { textContent: name }));
  figure.append(made("img", {
    alt: name, src: `picture/${name}.png${query()}`,
    onerror: () => figure.remove(), // the results do not hold what it shows
  }));
  return figure;
}

function showResults() {
  part("results").replaceChildren(...page.results.map((name) => {
    const button = made("button", { textContent: name, onclick: () => load(name) });
    button.setAttribute("aria-pressed", String(name === page.shown));
    return button;
  }));
}

function showSlices() {
  part("slices").hidden = page.slices_half_width_nm === null;
  if (!part("slices").hidden) showSlice();
}

function showSlice() {
  const nm = part("at").value * page.slices_half_width_nm;
  part("y").textContent = `${nm.toFixed(1)} nm`;
  part("slice").src = `slices.png${query({ at: nm.toFixed(2) })}`;
}

function seriesParts(series) {
  return [
    made("h2", { textContent: `Series ${series.name}` }),
    made("pre", { textContent: series.lines.join("\n") }),
    made("div", { className: "images" }, ...series.images.map((image) => imageCard(series, image))),
  ];
}

function imageCard(series, image) {
  const angle = image.angle_deg === null ? "" : ` ${image.angle_deg.toFixed(1)}°`;
  const residual = image.residual_px === null ? "" : `residual ${image.residual_px.toFixed(3)} px`;
  const tick = made("input", {
    type: "checkbox",
    onchange: () => {
      if (tick.checked) dropped.add(image.name); else dropped.delete(image.name);
      showDropped();
    },
  });
  const card = made("figure", {});
  card.dataset.tilt = image.name;
  if (series.has_images) {
    const source = `image/${series.name}/${image.section}.png`;
    card.append(made("img", {
      alt: image.name + angle, loading: "lazy", src: source,
      onclick: () => enlarge(image.name + angle, `${source}?large`),
    }));
  }
  card.append(made("label", {}, tick, ` ${image.name}${angle}`));
  if (residual) card.append(made("div", { textContent: residual, className: image.misfit ? "reason" : "" }));
  if (image.left_out) card.append(made("div", { textContent: `left out: ${image.left_out}`, className: "reason" }));
  return card;
}

function enlarge(name, source) {
  part("enlarged-name").textContent = name;
  part("large").src = source;
  part("enlarged").showModal();
}

function drops() {
  const numbers = {};
  for (const image of page.series.flatMap((one) => one.images)) {
    if (dropped.has(image.name)) (numbers[image.name[0]] ??= new Set()).add(image.tilt);
  }
  return Object.entries(numbers).map(([name, tilts]) => `${name}:${[...tilts].join(",")}`);
}

function commandText() {
  return [...page.command, ...drops().flatMap((drop) => ["--drop", drop])].join(" ");
}

function showDropped() {
  for (const card of document.querySelectorAll(".images figure")) {
    const out = dropped.has(card.dataset.tilt);
    card.classList.toggle("out", out);
    card.querySelector("input").checked = out;
  }
  part("command").textContent = commandText();
}

part("at").oninput = () => {
  part("y").textContent = `${(part("at").value * page.slices_half_width_nm).toFixed(1)} nm`;
};
part("at").onchange = showSlice;

part("copy").onclick = async () => {
  await navigator.clipboard.writeText(commandText());
  part("told").textContent = "copied";
};

part("process").onclick = async () => {
  const reply = await fetch("process", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ drop: drops() }),
  });
  if (reply.ok) followRun();
  else part("told").textContent = await reply.text();
};

async function followRun() {
  part("process").disabled = true;
  part("output").hidden = false;
  part("told").textContent = "processing …";
  for (;;) {
    const state = await (await fetch("run")).json();
    part("output").textContent = state.lines.join("\n");
    part("output").scrollTop = part("output").scrollHeight;
    if (!state.running) {
      await ended(state);
      return;
    }
    await new Promise((wake) => setTimeout(wake, STATE_EVERY_MS));
  }
}

async function ended(state) {
  part("process").disabled = false;
  const before = new Set(page.results);
  const newest = (await (await fetch(`content${query()}`)).json()).results
    .find((name) => !before.has(name));
  if (newest !== undefined) await load(newest);
  part("told").textContent = newest === undefined
    ? `no new results (exit code ${state.exit_code})`
    : `the results are in ${newest}`;
}

async function begin() {
  await load("");
  if (page !== null && (await (await fetch("run")).json()).running) followRun();
}

begin();
