import { post } from "./api.js";
import { takePhoto } from "./camera.js";
import { byId, element, save, say, sayTrouble, showValue } from "./elements.js";
import { details, lay, percent, putBeside, sizeOf, summary } from "./faces.js";
import { asBatch, isZip, onChoice, photosAmong, sample } from "./intake.js";

// Boxes of less confidence are hardly ever faces; from here on the slider chooses, and the service is not asked again.
const LEAST_CONFIDENCE = 0.1;

const photos = [];
let current = null;
let working = false;
let looking = new AbortController();

const status = byId("look-status");
const trouble = byId("look-trouble");
const image = byId("look-photo").querySelector("img");
const layer = byId("look-photo").querySelector(".faces");
const card = byId("look-card");
const confidence = byId("look-confidence");
const size = byId("look-size");
const detail = byId("look-detail");

/** Look at these photos too; of a ZIP a batch is made. */
export async function take(chosen) {
  try {
    const files = await photosAmong(chosen);
    if (files.some(isZip)) await asBatch(files, "predict");
    else show(files);
  } catch (error) {
    say(trouble, error.message);
  }
}

function show(files) {
  photos.push(...files.map(newPhoto));
  choose(photos.at(-files.length));
  work();
}

function newPhoto(file) {
  const photo = { file, address: URL.createObjectURL(file), state: "waiting" };
  photo.said = element("span");
  photo.button = element(
    "button",
    { type: "button", onclick: () => choose(photo) },
    element("img", { loading: "lazy", src: photo.address, alt: "", draggable: false }),
    element("span", {}, file.name),
    photo.said,
  );
  byId("look-strip").append(element("li", {}, photo.button));
  return photo;
}

async function work() {
  if (working) return;
  working = true;
  const isNext = ({ state }) => state === "waiting";
  // What is on show comes first.
  for (let photo; (photo = [current, ...photos].find(isNext)); ) await look(photo);
  working = false;
}

async function look(photo) {
  photo.state = "looking";
  changed(photo);
  const { signal } = looking;
  try {
    const query = { annotated: false, min_confidence: LEAST_CONFIDENCE, detail: detail.value };
    const onWait = (sentence) => { photo.wait = sentence; changed(photo); };
    photo.answer = await post("predict", photo.file, { query, onWait, signal, as: "json" });
    photo.state = "done";
  } catch (error) {
    // It is to be looked at in another way.
    photo.state = signal.aborted ? "waiting" : "failed";
    photo.trouble = error;
  }
  photo.wait = "";
  changed(photo);
}

function changed(photo) {
  renderStrip();
  if (photo === current) renderCurrent();
}

function choose(photo) {
  current = photo;
  image.src = photo.address;
  image.alt = `The photo ${photo.file.name}`;
  renderStrip();
  renderCurrent();
}

function facesOf({ answer }) {
  return answer.faces.filter((face) => face.confidence >= confidence.value && sizeOf(face) >= size.value);
}

function renderStrip() {
  byId("look-many").hidden = photos.length < 2;
  const words = { waiting: "waiting", looking: "looking …", failed: "failed" };
  for (const photo of photos) {
    photo.button.ariaCurrent = String(photo === current);
    photo.said.className = photo.state;
    photo.said.textContent = words[photo.state] ?? count(facesOf(photo).length);
  }
}

function renderCurrent() {
  const { state, answer } = current;
  byId("look-drop").classList.add("small");
  byId("look-result").hidden = state === "failed";
  if (state !== "failed") say(trouble);
  say(byId("look-refused"));
  byId("look-photo").classList.toggle("busy", state !== "done");
  for (const id of ["look-picture", "look-json"]) byId(id).disabled = state !== "done";
  layer.replaceChildren();
  byId("look-rows").replaceChildren();
  byId("look-count").textContent = "Faces";
  if (state === "done") renderFaces(facesOf(current), answer.image);
  else if (state === "failed") renderTrouble(current);
  else say(status, current.wait || `Looking at ${current.file.name} …`);
  activate(0);
}

function renderTrouble(photo) {
  say(status);
  sayTrouble(trouble, photo.file.name, photo.trouble, () => {
    photo.state = "waiting";
    changed(photo);
    work();
  });
}

function renderFaces(faces, pixels) {
  faces.forEach((face, index) => {
    const number = index + 1;
    const button = element("button", { type: "button", className: "face", ariaLabel: `Face ${number}: ${summary(face)}` });
    button.addEventListener("focus", () => activate(index));
    button.addEventListener("mouseenter", () => activate(index));
    layer.append(lay(button, face.bbox, pixels));
    const row = element(
      "tr",
      {},
      element("th", { scope: "row" }, String(number)),
      element("td", {}, `${face.gender} `, element("span", { className: "quiet" }, percent(face.gender_confidence))),
      element("td", {}, `${face.age} `, element("span", { className: "quiet" }, percent(face.age_confidence))),
      element("td", {}, percent(face.confidence)),
    );
    row.addEventListener("mouseenter", () => activate(index));
    byId("look-rows").append(row);
  });
  const found = count(faces.length);
  byId("look-count").textContent = found;
  say(status, `${current.file.name}: ${found}.`);
}

const count = (number) => (number === 0 ? "No face" : number === 1 ? "1 face" : `${number} faces`);

/** Show the details of a face beside it; without it, of none. */
function activate(index) {
  const button = layer.children[index];
  card.hidden = !button;
  [...layer.children].forEach((each) => {
    each.classList.toggle("active", each === button);
    each.removeAttribute("aria-describedby");
  });
  [...byId("look-rows").children].forEach((row, at) => row.classList.toggle("active", at === index && Boolean(button)));
  if (!button) return;
  card.replaceChildren(...details(facesOf(current)[index], index + 1));
  button.setAttribute("aria-describedby", card.id);
  putBeside(card, button);
}

function filter() {
  showValue(confidence, percent(confidence.value));
  showValue(size, `${size.value} pixels`);
  if (current) changed(current);
}

async function download(button, suffix, make) {
  const photo = current;
  const refused = byId("look-refused");
  if (button.ariaBusy === "true") return;
  button.ariaBusy = "true";
  say(refused);
  try {
    save(await make(photo), photo.file.name.replace(/\.\w+$/, "") + suffix);
  } catch (error) {
    say(refused, error.message);
  }
  button.ariaBusy = null;
}

const annotated = ({ file }) => post("analyze", file, {
  query: { min_confidence: confidence.value, min_face_size: size.value, detail: detail.value },
  as: "blob",
  onWait: (sentence) => say(status, sentence),
});

const asJson = (photo) =>
  new Blob([JSON.stringify({ ...photo.answer, faces: facesOf(photo) }, null, 1)], { type: "application/json" });

async function fromCamera() {
  // A phone's own camera takes the better photo.
  if (matchMedia("(pointer: coarse)").matches || !navigator.mediaDevices) {
    byId("look-capture").click();
    return;
  }
  const photo = await takePhoto();
  if (photo) take([photo]);
}

onChoice(byId("look-choose"), take);
onChoice(byId("look-capture"), take);
byId("look-sample").addEventListener("click", () => take(sample()));
byId("look-camera").addEventListener("click", fromCamera);
confidence.addEventListener("input", filter);
size.addEventListener("input", filter);
detail.addEventListener("change", () => {
  looking.abort();
  looking = new AbortController();
  for (const photo of photos) photo.state = "waiting";
  if (current) changed(current);
  work();
});
byId("look-list").addEventListener("click", () => asBatch(photos.map(({ file }) => file), "predict"));
byId("look-picture").addEventListener("click", ({ currentTarget }) => download(currentTarget, "-faces.jpg", annotated));
byId("look-json").addEventListener("click", ({ currentTarget }) => download(currentTarget, "-faces.json", asJson));
layer.addEventListener("mouseleave", () => {
  if (!layer.contains(document.activeElement)) activate();
});
addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !card.hidden) activate();
});
// The photo has another size once it has arrived, in another window, and when its view is shown again.
new ResizeObserver(() => {
  const active = layer.querySelector(".active");
  if (active) putBeside(card, active);
}).observe(layer);
filter();
