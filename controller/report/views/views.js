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
  const PALE = 0xc6c9cc, EXIT = 0xff7a00;
  const SHAPE = 1, EXIT_OF_A = 2, EXIT_OF_B = 4, ALL_IDS = [1, 2, 3, 4, 5];
  const chosen = { shape: "", colouring: 0, axis: "z", cut: 1, level: {}, exits: { A: true, B: true, fused: false } };
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

  const number = (value, spread = value) => value.toFixed(spread < 0.1 ? 4 : spread < 10 ? 2 : 0);
  const colourOf = (css) => css.match(/\d+/g).slice(0, 3).reduce((sum, part) => 256 * sum + Number(part), 0);
  const packedColour = (text) => parseInt(text.slice(1), 16);
  const cssColour = (value) => "#" + value.toString(16).padStart(6, "0");
  const categoryColour = (colouring, place) => CATEGORY[(place + (colouring.has_neutral ? 0 : 1)) % CATEGORY.length];

  function coloursOf(colouring) {
    const values = arrayOf(colouring.values).data;
    const colours = new Uint32Array(values.length);
    if (colouring.scale === "category") {
      values.forEach((value, place) => { colours[place] = packedColour(categoryColour(colouring, value)); });
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
      id: SHAPE, type: "Points", shader: "3d", name, visible: true,
      positions: { data: positions, shape: steps.shape },
      point_sizes: arrayOf(found.diameters_nm), point_size: 1, opacity: 1,
      colors: coloursOf(found.colourings[chosen.colouring]), color: 0xffffff,
      roughness: 0.55, metalness: 0, model_matrix: identity(),
    };
  }

  function identity() {
    return { data: new Float32Array([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]), shape: [4, 4] };
  }

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

  function isosurfaceObject(name) {
    const found = scene.isosurfaces[name];
    return {
      id: SHAPE, type: "MarchingCubes", name, visible: true, scalar_field: arrayOf(found.field),
      level: chosen.level[name] ?? found.level, color: PALE, opacity: 1, wireframe: false,
      flat_shading: false, roughness: 0.6, metalness: 0,
      model_matrix: { data: Float32Array.from(found.matrix), shape: [4, 4] },
    };
  }

  const exitsOf = (name) => (name === "fused" ? ["A", "B"] : [name]).filter((series) => scene.exits[series]);

  function exitObjects(name) {
    return exitsOf(name).filter(() => chosen.exits[name]).flatMap((series) => {
      const found = scene.exits[series], down = found.beam_z, far = scene.reach_nm;
      const [x, y, z] = scene.centre_nm;
      const id = series === "A" ? EXIT_OF_A : EXIT_OF_B;
      const tail = [x, y, z - down * 1.3 * far];
      return [{
        id, type: "Mesh", name: `exit surface of ${series}`, visible: true,
        vertices: arrayOf(found.corners), indices: arrayOf(found.triangles), color: EXIT,
        opacity: 0.22, wireframe: false, flat_shading: false, side: "double", roughness: 0.9,
        metalness: 0, model_matrix: identity(),
      }, {
        id: id + 1, type: "Vectors", name: `beam of ${series}`, visible: true,
        origins: { data: Float32Array.from(tail), shape: [1, 3] },
        vectors: { data: Float32Array.from([0, 0, down * 0.25 * far]), shape: [1, 3] },
        colors: { data: Uint32Array.from([EXIT, EXIT]), shape: [2] },
        head_size: 0.8 * far, line_width: 0.02 * far, use_head: true, labels: [],
        origin_color: 0xffffff, head_color: 0xffffff, model_matrix: identity(),
      }];
    });
  }

  function countOf(name) {
    const { counted, beside } = scene.particles[name];
    return `${counted} particles` + (beside ? `, and ${beside} beside the object, not counted` : "");
  }

  async function show() {
    figure.dataset.state = "drawing";
    const [kind, name] = chosen.shape.split(" ");
    ALL_IDS.filter((id) => plot.getWorld().ObjectsListJson[id]).forEach((id) => plot.removeObject(id));
    words.textContent = kind === "particles" ? "" : "Computing the surface …";
    const shape = kind === "particles" ? particlesObject(name) : isosurfaceObject(name);
    await plot.load({ objects: [shape, ...exitObjects(name)] });
    legend.replaceChildren();
    if (kind === "particles") showLegend(scene.particles[name].colourings[chosen.colouring]);
    if (chosen.exits[name]) {
      exitsOf(name).forEach((series) => legendEntry(`exit surface of ${series}, and its beam at 0°`, cssColour(EXIT)));
    }
    words.textContent = kind === "particles" ? countOf(name)
      : `Surface in the SIRT volume, sampled every ${number(scene.isosurfaces[name].step_nm)} nm`;
    await draw();
    figure.dataset.state = "drawn";
  }

  // K3D is told not to draw by itself: it would draw seven frames while the page opens.
  const draw = () => plot.refreshAfterObjectsChange(false, true);

  // The side that is cut off is the one that faces the reader at first.
  function cut() {
    const place = "xyz".indexOf(chosen.axis), normal = [0, 0, 0], side = chosen.axis === "y" ? -1 : 1;
    normal[place] = -side;
    const at = scene.reach_nm * (2 * chosen.cut - 1) + side * scene.centre_nm[place];
    plot.setClippingPlanes(chosen.cut >= 1 ? [] : [[...normal, at]]);
  }

  function lookFromFront() {
    const [x, y, z] = scene.centre_nm, narrow = Math.max(1, stage.clientHeight / stage.clientWidth);
    const far = 4.8 * narrow * scene.reach_nm;
    plot.setCamera([x + 0.42 * far, y - 0.84 * far, z + 0.34 * far, x, y, z, 0, 0, 1]);
  }

  async function savePicture() {
    const canvas = await plot.getScreenshot(2, true), link = document.createElement("a");
    link.href = canvas.toDataURL("image/png");
    link.download = `${chosen.shape.replace(" ", "-")}.png`;
    link.click();
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

  function controls() {
    const tools = figure.querySelector(".view-tools");
    const shapes = [
      ...Object.keys(scene.particles).map((name) => ["particles " + name, `particles, ${scene.names[name]}`]),
      ...Object.keys(scene.isosurfaces).map((name) => ["isosurface " + name, `isosurface, ${scene.names[name]}`]),
    ];
    let detail = document.createElement("span");
    const fitDetail = () => {
      const [kind, name] = chosen.shape.split(" ");
      const fitting = kind === "particles" ? colouringMenu(name) : levelSlider(name);
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
    back.addEventListener("click", lookFromFront);
    const picture = tagged("button", "Save picture");
    picture.type = "button";
    picture.addEventListener("click", savePicture);
    tools.append(what, detail, exits, across, place, picture, back);
    fitDetail();
  }

  // The wheel moves the page until the reader has clicked into the view.
  function zoomAfterAClick() {
    const zoom = (allowed) => plot.setCameraLock(false, !allowed, false);
    zoom(false);
    stage.addEventListener("pointerdown", () => zoom(true), true);
    document.addEventListener("pointerdown", (event) => { if (!stage.contains(event.target)) zoom(false); });
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
    const page = getComputedStyle(document.body);
    plot = new k3d.K3D(k3d.ThreeJsProvider, stage, {
      menuVisibility: false, cameraAutoFit: false, gridVisible: false, cameraMode: "orbit",
      cameraUpAxis: "z", clearColor: colourOf(page.backgroundColor), labelColor: colourOf(page.color), axesHelper: 1,
      cameraFov: 30, colorbarObjectId: 0, renderOnChange: false,
      antialias: drawnBySoftware() ? 0 : 1, logarithmicDepthBuffer: false,
    });
    window.reportPlot = plot;
    lookFromFront();
    chosen.shape = "particles " + (scene.particles.fused ? "fused" : Object.keys(scene.particles)[0]);
    controls();
    zoomAfterAClick();
    await show();
  }

  start().catch((error) => {
    console.error(error);
    figure.classList.remove("live");
  });
})();
