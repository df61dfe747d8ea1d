// Files of fewer bytes are sent as they are.
const SMALL_BYTES = 500_000;

const QUALITY = 0.9;

/**
 * The photo as it is sent where only its faces are wanted: a JPEG with a longer side of at most `maxSide` pixels.
 *
 * Resolves to { blob, size, sentSize }, with the sizes of the upright photo and of its copy; or to { blob } with the file
 * itself, if that is small or the browser cannot decode it.
 */
export async function shrinkPhoto(file, maxSide) {
  if (file.size < SMALL_BYTES) return { blob: file };
  // An undecodable file is for the service, which tells what is wrong with it.
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) return { blob: file };
  try {
    const size = { width: picture.width, height: picture.height };
    const zoom = maxSide / Math.max(size.width, size.height);
    if (zoom >= 1) return { blob: file };
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(size.width * zoom)), Math.max(1, Math.round(size.height * zoom)));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
    return blob.size < file.size ? { blob, size, sentSize: { width: canvas.width, height: canvas.height } } : { blob: file };
  } catch {
    return { blob: file };
  } finally {
    picture.close();
  }
}

/** The service's result for a smaller copy, with boxes and landmarks in pixels of the photo, which has this size. */
export function scaleResult(result, { width, height }) {
  const [zoomX, zoomY] = [width / result.image.width, height / result.image.height];
  const faces = result.faces.map((face) => {
    const scaled = { ...face, bbox: face.bbox.map((edge, index) => Math.round(edge * (index % 2 ? zoomY : zoomX))) };
    const tenths = (value) => Math.round(10 * value) / 10;
    if (face.landmarks) scaled.landmarks = face.landmarks.map(([x, y]) => [tenths(x * zoomX), tenths(y * zoomY)]);
    return scaled;
  });
  return { ...result, image: { ...result.image, width, height }, faces };
}
