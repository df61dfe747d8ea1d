import { call, post } from "./api.js";
import { forget, known, megabytes, refused, show, showSent, watch } from "./batch.js";
import { byId, element, save, say, sayTrouble, showPicture, showValue } from "./elements.js";
import { lay } from "./faces.js";
import { isZip, onChoice, pathOf, photosAmong, sample } from "./intake.js";
import { sending } from "./upload.js";
import { firstPhoto } from "./zip.js";

// What can be done to each photo of a batch; a single photo is covered.
const TASKS = {
  anonymize: {
    title: "Cover faces",
    start: "Cover",
    hint: "The preview shows the first photo. Every face is covered; to keep some, choose a single photo.",
  },
  predict: {
    title: "List faces",
    start: "List the faces of",
    hint: "You get a ZIP with two tables: results.csv has a row for each face, results.jsonl a line for each photo.",
  },
  enhance: {
    title: "Enlarge photos",
    start: "Enlarge",
    hint: "You get a ZIP with every photo enlarged.",
  },
};

const KEPT = "The service keeps what comes of it until you delete it or its time is up.";

let files = [];
let first = null;
let kept = [];

// What was handed in last counts, however long what came before takes.
let turn = 0;

// The preview as it is wanted, and the one that is being asked for.
let wanted = 0;
let preview = null;
let renewed = null;
let asking = new AbortController();

const status = byId("guard-status");
const trouble = byId("guard-trouble");
const form = byId("guard-form");
const image = byId("guard-photo").querySelector("img");
const layer = byId("guard-photo").querySelector(".faces");
const start = byId("guard-start");

/** Work on these, in place of those that were chosen before. */
export async function take(chosen, task = taskOf(options())) {
  turn += 1;
  const mine = turn;
  // A batch that is shown goes on below.
  byId("guard-setup").hidden = false;
  say(trouble);
  try {
    const photos = await photosAmong(chosen);
    const shown = isZip(photos[0]) ? await firstPhoto(photos[0]) : photos[0];
    if (mine === turn) prepare(photos, shown, task);
  } catch (error) {
    if (mine === turn) say(trouble, error.message);
  }
}

function prepare(photos, shown, task) {
  asking.abort();
  asking = new AbortController();
  files = photos;
  first = shown;
  kept = [];
  byId("guard-drop").classList.add("small");
  byId("guard-chosen").hidden = false;
  byId("guard-task").hidden = byId("guard-task").disabled = isAlone();
  form.elements.task.value = task;
  showAsItIs();
  renew();
}

const isAlone = () => files.length === 1 && !isZip(files[0]);

const options = () => Object.fromEntries(new FormData(form));

const taskOf = ({ task }) => task ?? "anonymize";

/** Show what would be done as things are now; what is changed meanwhile is shown next. */
function renew() {
  const task = taskOf(options());
  const { title, start: verb, hint } = TASKS[task];
  byId("guard-title").textContent = title;
  byId("guard-lead").hidden = byId("guard-cover").hidden = byId("guard-cover").disabled = task !== "anonymize";
  byId("guard-hint").textContent = isAlone() ? "Click a face to keep it as it is." : `${hint} ${KEPT}`;
  const many = files.length === 1 ? "all" : `${files.length} photos`;
  start.textContent = isAlone() ? "Download photo" : `${verb} ${many}`;
  start.disabled = false;
  image.alt = first ? `Preview of ${first.name}` : "";
  wanted += 1;
  renewed ??= showPreviews().finally(() => { renewed = null; });
}

async function showPreviews() {
  let shown;
  byId("guard-photo").classList.add("busy");
  while (shown !== wanted) {
    shown = wanted;
    preview = await showPreview(first, asking.signal);
  }
  byId("guard-photo").classList.remove("busy");
  // A photo that cannot be covered has no copy; others of a batch have.
  start.disabled = isAlone() && !preview;
}

/** Show a photo as it would be covered, and resolve to that; to null where it cannot be, or is not to be covered. */
async function showPreview(photo, signal) {
  const { task, ...query } = options();
  if (!photo || taskOf({ task }) !== "anonymize") {
    showAsItIs();
    return null;
  }
  say(status, `${summary()} Covering ${photo.name} …`);
  if (kept.length) query.keep = JSON.stringify(kept);
  try {
    const onWait = (sentence) => say(status, sentence);
    const answer = await post("anonymize", photo, { query: { ...query, format: "json" }, as: "json", signal, onWait });
    const picture = pictureOf(answer);
    showPicture(image, picture);
    await image.decode();
    drawFaces(answer);
    const covered = answer.faces.filter((face) => !face.kept).length;
    say(trouble);
    say(status, `${summary()} ${covered} of ${answer.faces.length} faces covered${isAlone() ? "" : ` in ${photo.name}`}.`);
    return picture;
  } catch (error) {
    if (!signal.aborted) {
      say(status, summary());
      sayTrouble(trouble, photo.name, error, renew);
    }
    return null;
  }
}

function showAsItIs() {
  layer.replaceChildren();
  showPicture(image, first);
  say(status, summary());
}

function pictureOf({ picture, image: { format } }) {
  const bytes = Uint8Array.from(atob(picture), (character) => character.charCodeAt());
  return new Blob([bytes], { type: `image/${format.toLowerCase()}` });
}

function drawFaces({ faces, image: size }) {
  const focused = [...layer.children].indexOf(document.activeElement);
  layer.replaceChildren(...faces.map((face, index) => {
    if (!isAlone()) return lay(element("span", { className: "face" }), face.bbox, size);
    const button = element("button", {
      type: "button",
      className: face.kept ? "face kept" : "face",
      ariaLabel: `Keep face ${index + 1}`,
      ariaPressed: String(face.kept),
      onclick: () => toggle(face),
    });
    return lay(button, face.bbox, size);
  }));
  layer.children[focused]?.focus();
}

function toggle({ bbox, kept: isKept }) {
  const same = (box) => String(box) === String(bbox);
  kept = isKept ? kept.filter((box) => !same(box)) : [...kept.filter((box) => !same(box)), bbox];
  renew();
}

function summary() {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return files.length === 1 ? `${files[0].name}, ${megabytes(bytes)}.` : `${files.length} files, ${megabytes(bytes)}.`;
}

/** Offer the photo as it is covered by what was chosen last, which may be under way still. */
async function offer([photo]) {
  await renewed;
  if (preview && photo === files[0]) save(preview, photo.name.replace(/(\.\w+)?$/, "-covered$1"));
}

async function submit() {
  const upload = new AbortController();
  byId("guard-setup").hidden = true;
  show();
  byId("batch-delete").onclick = () => upload.abort();
  byId("guard-batch").focus();
  say(byId("batch-status"), `Sending ${summary()}`);
  const body = new FormData();
  for (const file of files) body.append("files", file, pathOf(file));
  try {
    const { id } = await call("batches", {
      method: "POST",
      body,
      query: options(),
      as: "json",
      signal: upload.signal,
      send: sending(showSent),
      onWait: (sentence) => say(byId("batch-status"), sentence),
    });
    await watch(id);
  } catch (error) {
    if (upload.signal.aborted) startAnew();
    else refused(error.message);
  }
}

function startAnew() {
  forget();
  byId("guard-setup").hidden = false;
  byId("guard-batch").hidden = true;
  byId("guard-choose").focus();
}

function showScale() {
  const scale = byId("guard-scale");
  showValue(scale, `${Number(scale.value).toFixed(1)} times the face`);
}

onChoice(byId("guard-choose"), take);
onChoice(byId("guard-folder"), take);
byId("guard-sample").addEventListener("click", () => take(sample()));
byId("batch-new").addEventListener("click", startAnew);
byId("guard-scale").addEventListener("input", showScale);
form.addEventListener("change", renew);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (isAlone()) offer(files);
  else submit();
});
showScale();
if (known()) {
  byId("guard-setup").hidden = true;
  watch(known());
}
