import { postPhoto, request } from "./api.js";
import { byId, element, showMessage, showValue } from "./elements.js";
import { FaceEditor } from "./face-editor.js";
import { decimal, percent, text } from "./texts.js";
import { uploadWith } from "./upload.js";

const frame = byId("hide-faces-photo");
const canvas = frame.querySelector("canvas");
const form = byId("hide-faces-form");
const progress = byId("hide-faces-progress");
const scale = byId("hide-faces-scale");
const confidence = byId("hide-faces-confidence");

let photo = null;
let signal = new AbortController().signal;
let hasMasks = true;
let answer = null;
// The confidence that the user chose; until then it is the service's.
let chosenConfidence = null;
let listeners = {};

const editor = new FaceEditor({
  canvas,
  layer: frame.querySelector(".faces"),
  addButton: byId("hide-faces-add"),
  undoButton: byId("hide-faces-undo"),
  onChange: () => listeners.onChange?.(),
});

/**
 * Show a photo, ask the service for its faces, and show them hidden. Null shows nothing.
 *
 * Resolves to whether that worked. `onChange` is called when other faces are hidden, `onError` when a request fails,
 * with a function that tries it again; `onWait` gets a sentence while the service is busy. Only an `editable` photo can
 * be corrected. Without `masks` it is shown as it is.
 */
export async function openPhoto(file, { signal: abort, editable = false, masks = true, ...others }) {
  [photo, signal, hasMasks, listeners, answer] = [file, abort, masks, others, null];
  showTools(editable);
  frame.hidden = !file;
  canvas.ariaLabel = file ? text("preview_of", { name: file.name }) : null;
  editor.show(null, null);
  const picture = file && (await decodePicture(file));
  if (signal !== abort) return false;
  editor.show(picture, picture && { width: picture.naturalWidth, height: picture.naturalHeight }, editable);
  return findFaces();
}

/** Show the masks, or the photo as it is. */
export async function showMasks(shown) {
  if (shown === hasMasks) return;
  hasMasks = shown;
  editor.setMask(shown ? mask() : null);
  if (shown && !answer) await findFaces();
}

/** Whether there is an answer of the service to what is shown. */
export const isReady = () => answer !== null;

/** The size of the photo in pixels, null without one. */
export const photoSize = () => editor.size;

export const countHidden = () => editor.counts;

/** How many faces and boxes are hidden, as a sentence. */
export function describeHidden() {
  const { faces, drawn } = editor.counts;
  const found = faces ? text("hidden", editor.counts) : text("no_face_found");
  return drawn ? text("your_boxes", { found, boxes: drawn }) : found;
}

export const isChanged = () => editor.isChanged;

/** The mask and, if the user chose it, the confidence, as parameters of the service. */
export function maskParameters() {
  const { task, ...parameters } = Object.fromEntries(new FormData(form));
  return chosenConfidence === null ? parameters : { ...parameters, min_confidence: chosenConfidence };
}

/** Set the controls to `maskParameters` of an earlier time. */
export function setMaskParameters({ min_confidence: least = null, ...parameters }) {
  for (const [name, value] of Object.entries(parameters)) form.elements[name].value = value;
  chosenConfidence = least;
  showValues();
}

/** Send the photo with the boxes that are shown, which the service hides, and nothing else. Resolves to its response. */
export function sendPhoto(path, method, onWait) {
  const body = new FormData();
  body.append("image", photo);
  const { min_confidence: unused, ...parameters } = maskParameters();
  for (const [name, value] of Object.entries({ ...parameters, detect: false, cover: JSON.stringify(editor.boxes) })) {
    body.append(name, value);
  }
  return busy(() => request(path, { method, body, signal, onWait, send: uploadWith(showProgress, { guarded: true }) }));
}

async function findFaces() {
  if (!photo || !hasMasks) return true;
  const [file, abort] = [photo, signal];
  const query = { format: "json", picture: false };
  if (chosenConfidence !== null && chosenConfidence < (answer?.min_confidence ?? confidence.dataset.usual)) {
    query.min_confidence = chosenConfidence;
  }
  try {
    const found = await busy(() => post(file, query, "json", abort));
    await showPreview(file, found.image, abort);
    if (abort.aborted) return false;
    answer = found;
    showAnswer();
    listeners.onChange?.();
    return true;
  } catch (error) {
    if (!abort.aborted) listeners.onError?.(error, findFaces);
    return false;
  }
}

/** Show the preview that belongs to an answer: of a photo that the browser cannot show, the service's own picture. */
async function showPreview(file, size, abort) {
  if (editor.size?.width === size.width && editor.size?.height === size.height) return;
  const picture = await decodePicture(await busy(() => post(file, { detect: false }, "blob", abort)));
  if (!abort.aborted) editor.show(picture ?? element("canvas", { width: size.width, height: size.height }), size, editor.editable);
}

function post(file, query, as, abort) {
  return postPhoto("anonymize", file, { query, as, signal: abort, onWait: listeners.onWait, send: uploadWith(showProgress) });
}

async function busy(work) {
  frame.classList.add("busy");
  try {
    return await work();
  } finally {
    frame.classList.remove("busy");
    progress.hidden = true;
  }
}

function showProgress(bytes, total) {
  // When everything is sent, the service works, and nobody knows for how long.
  progress.hidden = false;
  if (bytes < total) progress.value = bytes / total;
  else progress.removeAttribute("value");
}

function showAnswer() {
  confidence.dataset.usual ??= answer.min_confidence;
  showValues();
  editor.setMask(hasMasks ? mask() : null);
  editor.setFaces(answer.faces, chosenConfidence ?? answer.min_confidence);
}

function mask() {
  const { method, shape, mask_scale: size } = Object.fromEntries(new FormData(form));
  return { method, shape, scale: Number(size) };
}

function showTools(shown) {
  byId("hide-faces-tools").hidden = !shown;
  byId("hide-faces-help").hidden = !shown;
}

function showValues() {
  if (chosenConfidence === null && answer) confidence.value = answer.min_confidence;
  showValue(confidence, percent(confidence.value));
  showValue(scale, text("mask_size", { scale: decimal(Number(scale.value), 1) }));
}

/** Decode a photo. Resolves to null if the browser cannot. */
async function decodePicture(blob) {
  const image = element("img", { src: URL.createObjectURL(blob) });
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(image.src);
  }
}

form.addEventListener("input", ({ target }) => {
  if (target === confidence) {
    chosenConfidence = Number(confidence.value);
    if (answer) editor.setConfidence(chosenConfidence);
  } else if (answer && hasMasks) {
    editor.setMask(mask());
  }
  showValues();
  listeners.onChange?.();
});
confidence.addEventListener("change", () => {
  // The answer has no boxes below its own confidence.
  if (answer && chosenConfidence < answer.min_confidence) findFaces();
});
showValues();
