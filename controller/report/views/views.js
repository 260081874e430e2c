// The controls of the views, and what they show.
const legend = figure.querySelector(".legend");
const words = figure.querySelector(".view-words");

function legendEntry(text, colour) {
  const entry = tagged("span", text), patch = document.createElement("i");
  patch.style.background = colour;
  entry.prepend(patch);
  legend.append(entry);
}

function showLegend(colouring) {
  if (colouring.scale === "category") {
    const shown = colouring.names.slice(0, CATEGORY.length);
    shown.forEach((name, place) => {
      if (colouring.counts[place] === 0) return;
      legendEntry(`${name}: ${colouring.counts[place]}`, categoryColour(colouring, place));
    });
    if (colouring.names.length > shown.length) {
      legend.append(tagged("span", `and ${colouring.names.length - shown.length} more`));
    }
    return;
  }
  const [low, high] = colouring.range, bar = document.createElement("i");
  bar.className = "scale";
  bar.style.background = `linear-gradient(90deg, ${scene.scale.map(cssColour).join(", ")})`;
  const unit = colouring.unit ? ` ${colouring.unit}` : "";
  legend.append(tagged("span", number(low, high - low) + unit), bar, tagged("span", number(high, high - low) + unit));
}

function menu(label, options, value, change) {
  const box = tagged("label", label), select = document.createElement("select");
  options.forEach(([value, text]) => {
    const option = tagged("option", text);
    option.value = value;
    select.append(option);
  });
  select.value = value;
  select.addEventListener("change", () => change(select.value));
  box.append(select);
  return box;
}

async function show() {
  figure.dataset.state = "drawing";
  const [kind, name] = chosen.shape.split(" ");
  words.textContent = kind === "particles" ? "" : "Computing the surface …";
  makePlots();
  const names = chosen.shape === SIDE_BY_SIDE ? namesShown() : [name];
  for (const [place, plot] of plotsShown().entries()) {
    const shape = kind === "particles" ? particlesObject(name) : isosurfaceObject(names[place]);
    await load(plot, [shape, ...exitsMarked(names[place])]);
  }
  legend.replaceChildren();
  if (kind === "particles") showLegend(scene.particles[name].colourings[chosen.colouring]);
  if (chosen.exits[name]) {
    exitsOf(name).forEach((series) => legendEntry(`exit surface of ${series}, and its beam at 0°`, cssColour(EXIT)));
  }
  words.textContent = kind === "particles" ? countOf(name) : sampling(names);
  figure.dataset.state = "drawn";
}

// Side by side the fused volume has no mark: its particles are sharp on both sides.
function exitsMarked(volume) {
  if (!chosen.exits[chosen.shape.split(" ")[1]]) return [];
  return chosen.shape === SIDE_BY_SIDE && volume === "fused" ? [] : exitObjects(volume);
}

function sampling(names) {
  const step_nm = number(scene.isosurfaces[names[0]].step_nm);
  if (names.length === 1) return `Surface in the volume of the iterative reconstruction (SIRT), sampled every ${step_nm} nm`;
  return `Surfaces in the volumes of the iterative reconstruction (SIRT), sampled every ${step_nm} nm; drag one to turn all`;
}

function slider(label, when, high, step, value, change) {
  const box = tagged("label", label), input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max: high, step, value });
  input.addEventListener(when, () => change(Number(input.value)));
  box.append(input);
  return box;
}

function colouringMenu(name) {
  const choices = scene.particles[name].colourings.map((found, place) => [place, found.title]);
  chosen.colouring = Math.min(chosen.colouring, choices.length - 1);
  const box = menu("Colour by", choices, chosen.colouring, (value) => {
    chosen.colouring = Number(value);
    show();
  });
  box.className = "for-particles";
  return box;
}

function levelSlider(name) {
  const box = slider("Level", "change", 252, 1, chosen.level[name] ?? scene.isosurfaces[name].level, (value) => {
    chosen.level[name] = Math.max(value, 1);
    show();
  });
  box.className = "for-isosurface";
  return box;
}

function detailControl(kind, name) {
  if (chosen.shape === SIDE_BY_SIDE) return document.createElement("span");
  return kind === "particles" ? colouringMenu(name) : levelSlider(name);
}

function controls() {
  const tools = figure.querySelector(".view-tools"), volumes = Object.keys(scene.isosurfaces);
  const shapes = [
    ...Object.keys(scene.particles).map((name) => ["particles " + name, `particles, ${scene.names[name]}`]),
    ...volumes.map((name) => ["isosurface " + name, `isosurface, ${scene.names[name]}`]),
    ...(volumes.length > 1 ? [[SIDE_BY_SIDE, "isosurfaces side by side"]] : []),
  ];
  let detail = document.createElement("span");
  const fitDetail = () => {
    const [kind, name] = chosen.shape.split(" ");
    const fitting = detailControl(kind, name);
    detail.replaceWith(fitting);
    detail = fitting;
    box.checked = chosen.exits[name];
    exits.hidden = exitsOf(name).length === 0;
  };
  const what = menu("Show", shapes, chosen.shape, (value) => {
    chosen.shape = value;
    fitDetail();
    show();
  });
  const exits = tagged("label", "Exit surface"), box = document.createElement("input");
  box.type = "checkbox";
  box.addEventListener("change", () => { chosen.exits[chosen.shape.split(" ")[1]] = box.checked; show(); });
  exits.append(box);
  const across = menu("Cut across", [["x", "x"], ["y", "y (tilt axis)"], ["z", "z (beam)"]], chosen.axis, (value) => {
    chosen.axis = value;
    cut();
  });
  const place = slider("at", "input", 1, 0.005, 1, (value) => { chosen.cut = value; cut(); });
  const back = tagged("button", "Reset view");
  back.type = "button";
  back.addEventListener("click", () => lookFromFront());
  const picture = tagged("button", "Save picture");
  picture.type = "button";
  picture.addEventListener("click", savePicture);
  tools.append(what, detail, exits, across, place, picture, back);
  fitDetail();
}

// The page shows its words first: the views are drawn when a reader comes near them.
function whenNear(element) {
  return new Promise((near) => {
    const observer = new IntersectionObserver((seen) => {
      if (!seen.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(near));
    }, { rootMargin: "300px" });
    observer.observe(element);
  });
}

// Once the words are shown: the library and the browser's graphics need half a second to start.
const whenIdle = () => new Promise((idle) => {
  if (window.requestIdleCallback) requestIdleCallback(idle, { timeout: 500 });
  else setTimeout(idle, 200);
});

async function start() {
  const near = whenNear(figure);
  await whenIdle();
  if (!window.makeK3D) return;
  k3d = window.makeK3D();
  scene = JSON.parse(document.getElementById("scene").textContent);
  const drawing = graphics();  // last: it waits until the browser has painted the page's words
  if (drawing === null) return;
  drawnBySoftware = /swiftshader|llvmpipe|software|basic render/i.test(drawing);
  await near;
  makeStages();
  figure.classList.add("live");
  chosen.shape = "particles " + (scene.particles.fused ? "fused" : Object.keys(scene.particles)[0]);
  controls();
  await show();
}

start().catch((error) => {
  console.error(error);
  figure.classList.remove("live");
});
