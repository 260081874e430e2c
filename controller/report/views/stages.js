// The stages: one plot for a single picture, or one for each volume, which turn together.
const figure = document.getElementById("views");
const single = figure.querySelector(".stage");
const triple = figure.querySelector(".stages");
const plots = new Map();
const FIELD_DEG = 30;
let turning = false;
let drawnBySoftware = false;

const stageOf = (name) => name === "" ? single : triple.querySelector(`[data-volume="${name}"]`);
const namesShown = () => chosen.shape === SIDE_BY_SIDE ? Object.keys(scene.isosurfaces) : [""];
const plotsShown = () => namesShown().map((name) => plots.get(name)).filter(Boolean);

function tagged(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

// Corners of a cube that holds what is drawn. K3D looks from 0.0001 to 12 of its diagonals.
function boxOfScene() {
  const half = 1.3 * scene.reach_nm;
  return [-half, half].flatMap((side) => scene.centre_nm.map((middle) => middle + side));
}

// No grid, and no fitting of one: K3D would typeset hundreds of hidden labels for it.
function newPlot(stage) {
  const page = getComputedStyle(document.body);
  const plot = new k3d.K3D(k3d.ThreeJsProvider, stage, {
    menuVisibility: false, cameraAutoFit: false, cameraMode: "orbit",
    gridVisible: false, gridAutoFit: false, grid: boxOfScene(),
    cameraUpAxis: "z", clearColor: colourOf(page.backgroundColor), labelColor: colourOf(page.color), axesHelper: 1,
    cameraFov: FIELD_DEG, colorbarObjectId: 0, renderOnChange: false,
    antialias: drawnBySoftware ? 0 : 1, logarithmicDepthBuffer: false,
  });
  const bar = tagged("div", "");
  bar.className = "scale-bar";
  stage.append(bar);
  drawOnceAFrame(plot.getWorld(), () => showScale(bar, scaleOf(plot)));
  resizeOnceASize(plot, stage);
  zoomAfterAClick(stage, plot);
  plot.on(plot.events.CAMERA_CHANGE, (camera) => turnOthers(plot, camera));
  return plot;
}

// K3D draws at every change: the particles five times while the page opens. Here all changes until
// the browser's next frame are drawn together.
function drawOnceAFrame(world, drawing) {
  const render = world.render;
  let next = null;
  world.render = () => {
    next ??= new Promise((drawn) => {
      requestAnimationFrame(() => { next = null; drawing(); drawn(render(true)); });
    });
    return next;
  };
}

// The scale in the middle of what is looked at: a round length, and its part of the picture's height.
function scaleOf(plot) {
  const { camera, controls } = plot.getWorld();
  const height_nm = 2 * Math.tan(FIELD_DEG * Math.PI / 360) * camera.position.distanceTo(controls.target);
  const length_nm = roundLength(height_nm / 4);
  return { text: `${length_nm} nm`, part: length_nm / height_nm };
}

function showScale(bar, scale) {
  bar.textContent = scale.text;
  bar.style.width = `${scale.part * bar.parentElement.clientHeight}px`;
}

function paintScale(context, left, height, scale) {
  const page = getComputedStyle(document.body), unit = height / 40;
  context.fillStyle = page.color;
  context.font = `${unit}px ${page.fontFamily}`;
  context.fillRect(left + unit, height - unit, scale.part * height, unit / 6);
  context.fillText(scale.text, left + unit, height - 1.3 * unit);
}

// K3D draws bodies in the size that they have on its canvas, whatever the size of the picture.
async function pictureOf(plot, times) {
  const world = plot.getWorld(), { width, height } = world;
  world.renderer.setSize(times * width, times * height, false);
  const picture = await plot.getScreenshot(times, true);
  world.renderer.setSize(width, height, false);
  plot.render();
  return picture;
}

// The first message of K3D's observer tells the size that the stage already has.
function resizeOnceASize(plot, stage) {
  const resize = plot.resizeHelper;
  let size = "";
  plot.resizeHelper = () => {
    const now = `${stage.clientWidth} ${stage.clientHeight}`;
    if (now === size) return;
    size = now;
    resize();
  };
}

function makeStages() {
  Object.keys(scene.isosurfaces).forEach((name) => {
    const part = document.createElement("div"), stage = document.createElement("div");
    part.append(tagged("strong", scene.names[name]), stage);
    stage.dataset.volume = name;
    triple.append(part);
  });
}

// A plot is made when it is first shown: each takes memory of the graphics card.
function makePlots() {
  const before = figure.classList.contains("side-by-side"), now = chosen.shape === SIDE_BY_SIDE;
  figure.classList.toggle("side-by-side", now);
  const fresh = namesShown().filter((name) => !plots.has(name));
  fresh.forEach((name) => plots.set(name, newPlot(stageOf(name))));
  if (fresh.length || before !== now) {
    plotsShown().forEach((plot) => plot.resizeHelper());
    lookFromFront();
  }
  cut();
}

function turnOthers(turned, camera) {
  if (turning) return;
  turning = true;
  plotsShown().filter((plot) => plot !== turned).forEach((plot) => { plot.setCamera(camera); plot.render(); });
  turning = false;
}

// K3D is told not to draw by itself: it would draw seven frames while the page opens.
const draw = (plot) => plot.refreshAfterObjectsChange(false, true);

async function load(plot, objects) {
  ALL_IDS.filter((id) => plot.getWorld().ObjectsListJson[id]).forEach((id) => plot.removeObject(id));
  await plot.load({ objects });
  await draw(plot);
}

// The side that is cut off is the one that faces the reader at first.
function cut() {
  const place = "xyz".indexOf(chosen.axis), normal = [0, 0, 0], side = chosen.axis === "y" ? -1 : 1;
  normal[place] = -side;
  const at = scene.reach_nm * (2 * chosen.cut - 1) + side * scene.centre_nm[place];
  plotsShown().forEach((plot) => plot.setClippingPlanes(chosen.cut >= 1 ? [] : [[...normal, at]]));
}

function lookFromFront() {
  const [x, y, z] = scene.centre_nm;
  namesShown().forEach((name) => {
    const stage = stageOf(name), narrow = Math.max(1, stage.clientHeight / stage.clientWidth);
    const far = 4.8 * narrow * scene.reach_nm;
    plots.get(name).setCamera([x + 0.42 * far, y - 0.84 * far, z + 0.34 * far, x, y, z, 0, 0, 1]);
  });
}

async function savePicture() {
  const parts = [];
  for (const plot of plotsShown()) parts.push(await pictureOf(plot, 2));
  const canvas = document.createElement("canvas"), link = document.createElement("a");
  canvas.width = parts.reduce((sum, part) => sum + part.width, 0);
  canvas.height = parts[0].height;
  let left = 0;
  const context = canvas.getContext("2d");
  parts.forEach((part, place) => {
    context.drawImage(part, left, 0);
    paintScale(context, left, part.height, scaleOf(plotsShown()[place]));
    left += part.width;
  });
  link.href = canvas.toDataURL("image/png");
  link.download = `${chosen.shape.replace(" ", "-")}.png`;
  link.click();
}

// The wheel moves the page until the reader has clicked into the view.
function zoomAfterAClick(stage, plot) {
  const zoom = (allowed) => plot.setCameraLock(false, !allowed, false);
  zoom(false);
  stage.addEventListener("pointerdown", () => zoom(true), true);
  document.addEventListener("pointerdown", (event) => { if (!stage.contains(event.target)) zoom(false); });
}

// The name of what draws, "" if the browser hides it; null without WebGL. A browser holds few
// contexts, so the one that answers is given back.
function graphics() {
  const context = document.createElement("canvas").getContext("webgl2");
  if (!context) return null;
  const known = context.getExtension("WEBGL_debug_renderer_info");
  const name = known ? context.getParameter(known.UNMASKED_RENDERER_WEBGL) : "";
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return name;
}
