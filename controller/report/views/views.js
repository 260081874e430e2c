"use strict";
// The views of report.html: this file chooses what K3D draws and in which colours.
(() => {
  const figure = document.getElementById("views");
  const stage = figure.querySelector(".stage");
  const legend = figure.querySelector(".legend");
  const words = figure.querySelector(".view-words");
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const CATEGORY = ["#c6c9cc", "#2f74c9", "#e8801a", "#1f9d6b", "#8a63d2", "#c2408e", "#1899a8",
    "#b3261e", "#7a8b1f", "#8c564b", "#5b6570", "#7fc79f", "#8fb8ea", "#f0b678", "#e07a74",
    "#b9a2e8", "#7fd0da", "#e59ac6", "#bcc86a", "#c49c94"];
  const chosen = { shape: null, colouring: null, axis: "z", cut: 1 };
  const arrays = new Map();
  let k3d, plot;

  function bytesOf(text) {
    const binary = atob(text);
    return Uint8Array.from({ length: binary.length }, (_, place) => binary.charCodeAt(place));
  }

  function arrayOf(packed) {
    if (!arrays.has(packed)) {
      arrays.set(packed, k3d.serialize.deserialize(
        { dtype: packed.dtype, shape: packed.shape, compressed_data: bytesOf(packed.zlib) }));
    }
    return arrays.get(packed);
  }

  function tagged(name, text) {
    const element = document.createElement(name);
    element.textContent = text;
    return element;
  }

  const number = (value) => Math.abs(value) < 10 && value % 1 ? value.toFixed(2) : value.toFixed(0);
  const packedColour = (text) => parseInt(text.slice(1), 16);
  const cssColour = (value) => "#" + value.toString(16).padStart(6, "0");
  const categoryColour = (place) => CATEGORY[place % CATEGORY.length];

  function coloursOf(colouring) {
    const values = arrayOf(colouring.values).data;
    const colours = new Uint32Array(values.length);
    if (colouring.scale === "category") {
      values.forEach((value, place) => { colours[place] = packedColour(categoryColour(value)); });
    } else {
      const [low, high] = colouring.range, last = scene.scale.length - 1;
      const perStep = high > low ? last / (high - low) : 0;
      values.forEach((value, place) => {
        colours[place] = scene.scale[Math.round((value - low) * perStep)];
      });
    }
    return { data: colours, shape: [colours.length] };
  }

  function particlesObject(name) {
    const found = scene.particles[name], steps = arrayOf(found.positions);
    const positions = Float32Array.from(steps.data, (step) => step * found.step_nm);
    return {
      id: 1, type: "Points", shader: "3d", name, visible: true,
      positions: { data: positions, shape: steps.shape },
      point_sizes: arrayOf(found.diameters_nm), point_size: 1, opacity: 1,
      colors: coloursOf(found.colourings[chosen.colouring]), color: 0xffffff,
      roughness: 0.55, metalness: 0, model_matrix: identity(),
    };
  }

  function identity() {
    return { data: new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), shape: [4, 4] };
  }

  function showLegend(colouring) {
    legend.replaceChildren();
    if (colouring.scale === "category") {
      const shown = colouring.names.slice(0, CATEGORY.length);
      shown.forEach((name, place) => {
        if (colouring.counts[place] === 0) return;
        const entry = tagged("span", `${name}: ${colouring.counts[place]}`);
        const patch = document.createElement("i");
        patch.style.background = categoryColour(place);
        entry.prepend(patch);
        legend.append(entry);
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
    legend.append(tagged("span", number(low) + unit), bar, tagged("span", number(high) + unit));
  }

  function menu(label, options, change) {
    const box = tagged("label", label), select = document.createElement("select");
    options.forEach(([value, text]) => {
      const option = tagged("option", text);
      option.value = value;
      select.append(option);
    });
    select.addEventListener("change", () => change(select.value));
    box.append(select);
    return [box, select];
  }

  async function show(name) {
    figure.dataset.state = "drawing";
    chosen.shape = name;
    const colourings = scene.particles[name].colourings;
    chosen.colouring = Math.min(chosen.colouring ?? 0, colourings.length - 1);
    await plot.load({ objects: [particlesObject(name)] });
    showLegend(colourings[chosen.colouring]);
    words.textContent = `${scene.particles[name].n} particles`;
    await draw();
    figure.dataset.state = "drawn";
  }

  // K3D is told not to draw by itself: it would draw seven frames while the page opens.
  const draw = () => plot.refreshAfterObjectsChange(false, true);

  function clip() {
    const place = "xyz".indexOf(chosen.axis), normal = [0, 0, 0];
    normal[place] = -1;
    const at = scene.centre_nm[place] + scene.reach_nm * (2 * chosen.cut - 1);
    plot.setClippingPlanes(chosen.cut >= 1 ? [] : [[...normal, at]]);
  }

  function lookFromFront() {
    const [x, y, z] = scene.centre_nm, narrow = Math.max(1, stage.clientHeight / stage.clientWidth);
    const far = 4.1 * narrow * scene.reach_nm;
    plot.setCamera([x + 0.42 * far, y - 0.84 * far, z + 0.34 * far, x, y, z, 0, 0, 1]);
  }

  function controls() {
    const tools = figure.querySelector(".view-tools");
    const shapes = Object.keys(scene.particles);
    const [what] = menu("Show", shapes.map((name) => [name, scene.particles[name].title]), show);
    what.lastChild.value = chosen.shape;
    const colourings = scene.particles[chosen.shape].colourings;
    const [by] = menu("Colour by", colourings.map((c, place) => [place, c.title]), (value) => {
      chosen.colouring = Number(value);
      show(chosen.shape);
    });
    const [across] = menu("Cut across", [["x", "x"], ["y", "y (tilt axis)"], ["z", "z (beam)"]], (value) => {
      chosen.axis = value;
      clip();
    });
    across.lastChild.value = chosen.axis;
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: 0, max: 1, step: 0.005, value: 1 });
    slider.setAttribute("aria-label", "position of the cut");
    slider.addEventListener("input", () => { chosen.cut = Number(slider.value); clip(); });
    const back = tagged("button", "Reset view");
    back.type = "button";
    back.addEventListener("click", lookFromFront);
    tools.append(what, by, across, slider, back);
  }

  function webGL() {
    return document.createElement("canvas").getContext("webgl2");
  }

  function drawnBySoftware() {
    const context = webGL(), known = context.getExtension("WEBGL_debug_renderer_info");
    const name = known ? context.getParameter(known.UNMASKED_RENDERER_WEBGL) : "";
    return /swiftshader|llvmpipe|software|basic render/i.test(name);
  }

  async function start() {
    if (!window.k3d || !webGL()) return;
    k3d = window.k3d;
    figure.classList.add("live");
    const paper = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
    plot = new k3d.K3D(k3d.ThreeJsProvider, stage, {
      menuVisibility: false, cameraAutoFit: false, gridVisible: false, cameraMode: "orbit",
      cameraUpAxis: "z", clearColor: (paper[0] << 16) + (paper[1] << 8) + paper[2], axesHelper: 1,
      cameraFov: 30, colorbarObjectId: 0, renderOnChange: false,
      antialias: drawnBySoftware() ? 0 : 1, logarithmicDepthBuffer: false,
    });
    window.reportPlot = plot;
    lookFromFront();
    chosen.shape = scene.particles.fused ? "fused" : Object.keys(scene.particles)[0];
    controls();
    await show(chosen.shape);
  }

  start();
})();
