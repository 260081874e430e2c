// Isosurface of a volume: one corner in each cell that the surface passes, at the mean of the
// places where it crosses the cell's edges (surface nets). K3D's marching cubes take three times
// as long, most of it to find the corners that triangles share.
function isosurface({ data, shape }, level) {
  const [planes, rows, columns] = shape, steps = [1, columns, columns * rows];
  const sides = [columns, rows, planes], corners = [], triangles = [];
  const cornerOf = new Uint32Array(data.length), cell = [0, 0, 0];
  const offsets = Array.from({ length: 8 }, (_, corner) =>
    steps.reduce((sum, step, axis) => sum + (corner >> axis & 1) * step, 0));
  for (cell[2] = 0; cell[2] < planes - 1; cell[2] += 1) {
    for (cell[1] = 0; cell[1] < rows - 1; cell[1] += 1) {
      let at = cell[2] * steps[2] + cell[1] * steps[1];
      for (cell[0] = 0; cell[0] < columns - 1; cell[0] += 1, at += 1) {
        let inside = 0;
        for (let corner = 0; corner < 8; corner += 1) inside |= (data[at + offsets[corner]] >= level) << corner;
        if (inside === 0 || inside === 255) continue;
        cornerOf[at] = corners.length / 3;
        addCorner(at, inside);
        for (let axis = 0; axis < 3; axis += 1) addSquare(at, inside, axis);
      }
    }
  }
  return {
    vertices: { data: Float32Array.from(corners), shape: [corners.length / 3, 3] },
    indices: { data: Uint32Array.from(triangles), shape: [triangles.length / 3, 3] },
  };

  // Adds the corner of a cell; the samples reach from -0.5 to 0.5 along each axis.
  function addCorner(at, inside) {
    const place = [0, 0, 0];
    let crossings = 0;
    for (let axis = 0; axis < 3; axis += 1) {
      for (let low = 0; low < 8; low += 1) {
        const high = low | 1 << axis;
        if (low === high || (inside >> low & 1) === (inside >> high & 1)) continue;
        const here = data[at + offsets[low]], there = data[at + offsets[high]];
        for (let other = 0; other < 3; other += 1) place[other] += low >> other & 1;
        place[axis] += (level - here) / (there - here);
        crossings += 1;
      }
    }
    for (let axis = 0; axis < 3; axis += 1) {
      corners.push((cell[axis] + place[axis] / crossings) / (sides[axis] - 1) - 0.5);
    }
  }

  // Adds the square across the edge from a cell's first sample along an axis, if it is crossed.
  function addSquare(at, inside, axis) {
    const left = (axis + 1) % 3, right = (axis + 2) % 3, first = inside & 1;
    if (first === (inside >> (1 << axis) & 1) || cell[left] === 0 || cell[right] === 0) return;
    const across = cornerOf[at - steps[left] - steps[right]], here = cornerOf[at];
    const beside = cornerOf[at - steps[left]], below = cornerOf[at - steps[right]];
    if (first) triangles.push(here, beside, across, here, across, below);
    else triangles.push(here, across, beside, here, below, across);
  }
}
