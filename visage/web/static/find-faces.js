import { postPhoto } from "./api.js";
import { blobOf, byId, element, saveFile, showError, showMessage, showValue } from "./elements.js";
import { countFaces, describe, percent, placeBox, placeCard, probabilityBars, shorterSide } from "./faces.js";
import { canShow, isZip, onFilesChosen, openAsBatch, photosAmong, samplePhoto } from "./files.js";
import { takePhoto } from "./webcam.js";

// The lower end of the confidence slider; boxes below it are hardly ever faces. The slider filters without a request.
const MIN_CONFIDENCE = 0.1;

const photos = [];
let current = null;
let working = false;
let requests = new AbortController();

const status = byId("find-faces-status");
const errorRegion = byId("find-faces-error");
const downloadError = byId("find-faces-download-error");
const image = byId("find-faces-photo").querySelector("img");
const layer = byId("find-faces-photo").querySelector(".faces");
const rows = byId("find-faces-rows");
const card = byId("find-faces-card");
const confidence = byId("find-faces-confidence");
const size = byId("find-faces-size");
const detail = byId("find-faces-detail");
const photoButton = byId("find-faces-download-photo");
const jsonButton = byId("find-faces-download-json");

/** Add photos to the view. A ZIP becomes a batch. */
export async function addFiles(chosen) {
  try {
    const files = await photosAmong(chosen);
    if (files.some(isZip)) await openAsBatch(files, "predict");
    else addPhotos(files);
  } catch (error) {
    showMessage(errorRegion, error.message);
  }
}

function addPhotos(files) {
  photos.push(...files.map(newPhoto));
  select(photos.at(-files.length));
  findFacesInAll();
}

function newPhoto(file) {
  const photo = { file, url: URL.createObjectURL(file), state: "waiting" };
  photo.note = element("span");
  photo.button = element(
    "button",
    { type: "button", onclick: () => select(photo) },
    element("img", { loading: "lazy", src: photo.url, alt: "", draggable: false }),
    element("span", {}, file.name),
    photo.note,
  );
  byId("find-faces-strip").append(element("li", {}, photo.button));
  return photo;
}

async function findFacesInAll() {
  if (working) return;
  working = true;
  const isWaiting = ({ state }) => state === "waiting";
  // The selected photo comes first.
  for (let photo; (photo = [current, ...photos].find(isWaiting)); ) await findFaces(photo);
  working = false;
}

async function findFaces(photo) {
  photo.state = "working";
  render(photo);
  const { signal } = requests;
  try {
    // The annotated picture is shown in place of a photo that the browser cannot show.
    photo.isShown ??= await canShow(photo.file);
    const query = { annotated: !photo.isShown, min_confidence: MIN_CONFIDENCE, detail: detail.value };
    const onWait = (message) => { photo.waitMessage = message; render(photo); };
    photo.result = await postPhoto("predict", photo.file, { query, onWait, signal, as: "json" });
    photo.state = "done";
    if (!photo.isShown) replacePreview(photo);
  } catch (error) {
    // An aborted request is sent again with the new `detail`.
    photo.state = signal.aborted ? "waiting" : "failed";
    photo.error = error;
  }
  photo.waitMessage = "";
  render(photo);
}

function replacePreview(photo) {
  URL.revokeObjectURL(photo.url);
  photo.url = URL.createObjectURL(blobOf(photo.result.annotated_jpeg, "JPEG"));
  delete photo.result.annotated_jpeg;
  photo.button.querySelector("img").src = photo.url;
  if (photo === current) image.src = photo.url;
}

function render(photo) {
  renderStrip();
  if (photo === current) renderCurrent();
}

function select(photo) {
  current = photo;
  image.src = photo.url;
  image.alt = `The photo ${photo.file.name}`;
  render(photo);
}

function visibleFaces({ result }) {
  return result.faces.filter((face) => face.confidence >= confidence.value && shorterSide(face) >= size.value);
}

function renderStrip() {
  byId("find-faces-many").hidden = photos.length < 2;
  const notes = { waiting: "waiting", working: "searching …", failed: "failed" };
  for (const photo of photos) {
    photo.button.ariaCurrent = String(photo === current);
    photo.note.className = photo.state;
    photo.note.textContent = notes[photo.state] ?? countFaces(visibleFaces(photo).length);
  }
}

function renderCurrent() {
  const { state, result } = current;
  byId("find-faces-drop").classList.add("small");
  byId("find-faces-result").hidden = state === "failed";
  if (state !== "failed") showMessage(errorRegion);
  showMessage(downloadError);
  byId("find-faces-photo").classList.toggle("busy", state !== "done");
  photoButton.disabled = jsonButton.disabled = state !== "done";
  layer.replaceChildren();
  rows.replaceChildren();
  byId("find-faces-count").textContent = "Faces";
  if (state === "done") renderFaces(visibleFaces(current), result.image);
  else if (state === "failed") renderError(current);
  else showMessage(status, current.waitMessage || `Searching ${current.file.name} …`);
  activate(0);
}

function renderError(photo) {
  showMessage(status);
  showError(errorRegion, photo.file.name, photo.error, () => {
    photo.state = "waiting";
    render(photo);
    findFacesInAll();
  });
}

function renderFaces(faces, photoSize) {
  faces.forEach((face, index) => {
    layer.append(placeBox(faceButton(face, index), face.bbox, photoSize));
    rows.append(faceRow(face, index));
  });
  const count = countFaces(faces.length);
  byId("find-faces-count").textContent = count;
  showMessage(status, `${current.file.name}: ${count}.`);
}

function faceButton(face, index) {
  const button = element("button", { type: "button", className: "face", ariaLabel: `Face ${index + 1}: ${describe(face)}` });
  button.addEventListener("focus", () => activate(index));
  button.addEventListener("mouseenter", () => activate(index));
  return button;
}

function faceRow(face, index) {
  const row = element(
    "tr",
    {},
    element("th", { scope: "row" }, String(index + 1)),
    element("td", {}, `${face.gender} `, element("span", { className: "quiet" }, percent(face.gender_confidence))),
    element("td", {}, `${face.age} `, element("span", { className: "quiet" }, percent(face.age_confidence))),
    element("td", {}, percent(face.confidence)),
  );
  row.addEventListener("mouseenter", () => activate(index));
  return row;
}

/** Show the card of the face with this index; without an index, hide the card. */
function activate(index) {
  const button = layer.children[index];
  card.hidden = !button;
  [...layer.children].forEach((each) => {
    each.classList.toggle("active", each === button);
    each.removeAttribute("aria-describedby");
  });
  [...rows.children].forEach((row, at) => row.classList.toggle("active", at === index && Boolean(button)));
  if (!button) return;
  card.replaceChildren(...probabilityBars(visibleFaces(current)[index], index + 1));
  button.setAttribute("aria-describedby", card.id);
  placeCard(card, button);
}

function filter() {
  showValue(confidence, percent(confidence.value));
  showValue(size, `${size.value} pixels`);
  if (current) render(current);
}

async function download(button, suffix, create) {
  const photo = current;
  if (button.ariaBusy === "true") return;
  button.ariaBusy = "true";
  showMessage(downloadError);
  try {
    saveFile(await create(photo), photo.file.name.replace(/\.\w+$/, "") + suffix);
  } catch (error) {
    showMessage(downloadError, error.message);
  }
  button.ariaBusy = null;
}

const annotatedPhoto = ({ file }) => postPhoto("analyze", file, {
  query: { min_confidence: confidence.value, min_face_size: size.value, detail: detail.value },
  as: "blob",
  onWait: (message) => showMessage(status, message),
});

const asJson = (photo) =>
  new Blob([JSON.stringify({ ...photo.result, faces: visibleFaces(photo) }, null, 1)], { type: "application/json" });

async function addFromCamera() {
  // On phones the system's camera app takes better photos.
  if (matchMedia("(pointer: coarse)").matches || !navigator.mediaDevices) {
    byId("find-faces-capture").click();
    return;
  }
  const photo = await takePhoto();
  if (photo) addFiles([photo]);
}

onFilesChosen(byId("find-faces-choose"), addFiles);
onFilesChosen(byId("find-faces-capture"), addFiles);
byId("find-faces-sample").addEventListener("click", () => addFiles(samplePhoto()));
byId("find-faces-take-photo").addEventListener("click", addFromCamera);
confidence.addEventListener("input", filter);
size.addEventListener("input", filter);
detail.addEventListener("change", () => {
  requests.abort();
  requests = new AbortController();
  for (const photo of photos) photo.state = "waiting";
  if (current) render(current);
  findFacesInAll();
});
byId("find-faces-list").addEventListener("click", () => openAsBatch(photos.map(({ file }) => file), "predict"));
photoButton.addEventListener("click", () => download(photoButton, "-faces.jpg", annotatedPhoto));
jsonButton.addEventListener("click", () => download(jsonButton, "-faces.json", asJson));
layer.addEventListener("mouseleave", () => {
  if (!layer.contains(document.activeElement)) activate();
});
addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !card.hidden) activate();
});
// The card moves when the photo loads, the window is resized, or the view is shown again.
new ResizeObserver(() => {
  const active = layer.querySelector(".active");
  if (active) placeCard(card, active);
}).observe(layer);
filter();
