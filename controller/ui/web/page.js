// Show the newest content of the session; the server sends it whenever it has changed.
"use strict";

const part = (id) => document.getElementById(id);
let content = null;
let chosen = null; // view chosen by the visitor; null follows the phase

function show(received) {
  if (content !== null && content.first_view !== received.first_view) chosen = null;
  content = received;
  document.title = `${content.advice} ${content.name} – dualtilt`;
  part("name").textContent = content.name;
  part("advice").className = content.tone;
  for (const id of ["advice", "doing", "phases", "numbers", "plots", "news", "alerts", "report", "simulated"]) {
    part(id).innerHTML = content[id];
  }
  part("alerts-section").hidden = content.alerts === "";
  showLog();
  showViews();
}

function showLog() {
  const log = part("log");
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
  log.innerHTML = content.log;
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function showViews() {
  const current = content.views.find((known) => known.view === (chosen ?? content.first_view));
  part("views").replaceChildren(...content.views.map((known) => {
    const button = document.createElement("button");
    button.textContent = known.label;
    button.setAttribute("aria-pressed", String(known === current));
    button.onclick = () => { chosen = known.view; showViews(); };
    return button;
  }));
  const picture = part("picture");
  part("frame").hidden = current === undefined;
  part("caption").textContent = current === undefined ? "no picture yet" : current.caption;
  if (current === undefined) return;
  const source = `picture/${encodeURIComponent(current.view)}.png?${current.seq}`;
  if (picture.getAttribute("src") !== source) {
    picture.alt = current.caption;
    picture.src = source;
  }
  part("bar").textContent = current.bar_nm === null ? "" : `${current.bar_nm} nm`;
  part("bar").style.width = `${100 * current.bar_nm / current.width_nm}%`;
}

// keep the whole picture in the window, in its aspect
part("picture").onload = (event) => {
  const aspect = event.target.naturalWidth / event.target.naturalHeight;
  part("frame").style.width = `min(100%, ${78 * aspect}vh)`;
};

const changes = new EventSource("changes");
changes.onmessage = (message) => show(JSON.parse(message.data));
changes.onerror = () => {
  part("advice").className = "bad";
  part("advice").textContent = "NOT CONNECTED";
  part("doing").textContent = "the page's server does not answer; trying again …";
};
