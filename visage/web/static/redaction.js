// As visage/anonymize/masks.py: cells across the shorter side of a mask, and the smallest side of a cell in pixels.
const CELLS = 2;
const MIN_CELL_SIDE = 4;

/**
 * Draw a picture on a canvas with a mask over every box, as the service does.
 *
 * Boxes are [x1, y1, x2, y2] in pixels of the photo, which has this size; the canvas may be smaller. `mask` has the
 * `method` (blur, mosaic, solid), the `shape` (ellipse, box), and the `scale` of a mask over its box.
 */
export function drawRedacted(canvas, picture, size, boxes, mask) {
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  const zoom = canvas.width / size.width;
  // Smallest last: it then averages what a larger mask left.
  for (const box of [...boxes].sort((one, other) => areaOf(other) - areaOf(one))) drawMask(context, box, size, mask, zoom);
}

const areaOf = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

function drawMask(context, [x1, y1, x2, y2], size, { method, shape, scale }, zoom) {
  const [centreX, centreY] = [(x1 + x2) / 2, (y1 + y2) / 2];
  const [halfWidth, halfHeight] = [((x2 - x1) * scale) / 2, ((y2 - y1) * scale) / 2];
  const [left, top] = [Math.max(0, Math.floor(centreX - halfWidth)), Math.max(0, Math.floor(centreY - halfHeight))];
  const width = Math.min(size.width, Math.ceil(centreX + halfWidth)) - left;
  const height = Math.min(size.height, Math.ceil(centreY + halfHeight)) - top;
  const part = [left, top, width, height].map((pixels) => pixels * zoom);
  // A face cut by the edge of the photo may be widest there, where an ellipse around the rest of it is narrowest.
  const isCut = x1 <= 0 || y1 <= 0 || x2 >= size.width || y2 >= size.height;
  context.save();
  context.beginPath();
  if (isCut || shape === "box") context.rect(...part);
  else context.ellipse(centreX * zoom, centreY * zoom, halfWidth * zoom, halfHeight * zoom, 0, 0, 2 * Math.PI);
  context.clip();
  if (method === "solid") {
    context.fillStyle = "#000";
    context.fillRect(...part);
  } else {
    const side = Math.max(MIN_CELL_SIDE, (2 * Math.min(halfWidth, halfHeight)) / CELLS);
    const cells = [width, height].map((pixels) => Math.max(1, Math.round(pixels / side)));
    context.imageSmoothingEnabled = method === "blur";
    context.drawImage(averages(context.canvas, part, cells), ...part);
  }
  context.restore();
}

/** Reduce a part of a canvas to one pixel for each cell. */
function averages(source, [left, top, width, height], [columns, rows]) {
  let picture = copy(source, left, top, width, height, Math.ceil(width), Math.ceil(height));
  // Smoothing averages two pixels a side at most, so halve until the cells are reached.
  while (picture.width > columns || picture.height > rows) {
    const [nextWidth, nextHeight] = [picture.width / 2, picture.height / 2].map(Math.ceil);
    picture = copy(picture, 0, 0, picture.width, picture.height, Math.max(columns, nextWidth), Math.max(rows, nextHeight));
  }
  return picture;
}

function copy(source, left, top, width, height, newWidth, newHeight) {
  const canvas = new OffscreenCanvas(newWidth, newHeight);
  canvas.getContext("2d").drawImage(source, left, top, width, height, 0, 0, newWidth, newHeight);
  return canvas;
}
