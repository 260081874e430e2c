// What K3D draws: particles, isosurfaces, and the exit surfaces with their beams.
const CATEGORY = ["#c6c9cc", "#2f74c9", "#e8801a", "#1f9d6b", "#8a63d2", "#c2408e", "#1899a8",
  "#b3261e", "#7a8b1f", "#8c564b", "#5b6570", "#7fc79f", "#8fb8ea", "#f0b678", "#e07a74",
  "#b9a2e8", "#7fd0da", "#e59ac6", "#bcc86a", "#c49c94"];
const PALE = 0xc6c9cc, EXIT = 0xff7a00;
const SHAPE = 1, EXIT_OF_A = 2, EXIT_OF_B = 4, ALL_IDS = [1, 2, 3, 4, 5];
const SIDE_BY_SIDE = "side-by-side all";
const chosen = {
  shape: "", colouring: 0, axis: "z", cut: 1, level: {}, exits: { A: true, B: true, fused: false, all: true },
};
const arrays = new Map();
let k3d, scene;

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

function isosurfaceObject(name) {
  const found = scene.isosurfaces[name];
  return {
    id: SHAPE, type: "MarchingCubes", name, visible: true, scalar_field: arrayOf(found.field),
    level: chosen.level[name] ?? found.level, color: PALE, opacity: 1, wireframe: false,
    flat_shading: false, roughness: 0.6, metalness: 0,
    model_matrix: { data: Float32Array.from(found.matrix), shape: [4, 4] },
  };
}

const exitsOf = (name) => (["fused", "all"].includes(name) ? ["A", "B"] : [name]).filter((series) => scene.exits[series]);

function exitObjects(name) {
  return exitsOf(name).flatMap((series) => {
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

const roundLength = (most) => {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].find((step) => step * power <= most) * power;
};

function countOf(name) {
  const { counted, beside } = scene.particles[name];
  return `${counted} particles` + (beside ? `, and ${beside} beside the object, not counted` : "");
}
