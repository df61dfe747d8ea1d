import { call, post } from "./api.js";
import { forget, known, megabytes, refused, show, showSent, watch } from "./batch.js";
import { byId, element, save, say, showValue } from "./elements.js";
import { lay } from "./faces.js";
import { onChoice, pathOf, sample } from "./intake.js";
import { sending } from "./upload.js";
import { firstPhoto } from "./zip.js";

const IS_ZIP = /\.zip$/i;
// What a folder has beside its photos would only fail: HEIC is sent, because its failure is worth knowing.
const MAY_BE_PHOTO = /\.(jpe?g|png|webp|bmp|heic|heif|avif|gif|tiff?|zip)$/i;

let files = [];
let first = null;
let preview = null;
let kept = [];
let wanted = 0;
let shown = 0;
let asking = false;

const status = byId("guard-status");
const trouble = byId("guard-trouble");
const form = byId("guard-form");
const image = byId("guard-photo").querySelector("img");
const layer = byId("guard-photo").querySelector(".faces");
const start = byId("guard-start");

/** Cover these, in place of those that were chosen before. */
export async function take(chosen) {
  const photos = chosen.length === 1 ? chosen : chosen.filter((file) => MAY_BE_PHOTO.test(file.name));
  if (!photos.length) {
    say(trouble, "There is no photo among these files.");
    return;
  }
  files = photos;
  // Another batch than the one that is shown: that one goes on.
  byId("guard-setup").hidden = false;
  byId("guard-batch").hidden = true;
  byId("guard-drop").classList.add("small");
  byId("guard-chosen").hidden = false;
  say(trouble);
  kept = [];
  preview = null;
  layer.replaceChildren();
  image.removeAttribute("src");
  const found = IS_ZIP.test(files[0].name) ? await firstPhoto(files[0]) : files[0];
  // Others may have been chosen meanwhile.
  if (files !== photos) return;
  first = found;
  if (first) image.src = URL.createObjectURL(first);
  image.alt = first ? `Preview of ${first.name}` : "";
  const alone = isAlone();
  start.textContent = alone ? "Download photo" : IS_ZIP.test(files[0].name) ? "Cover all" : `Cover ${files.length} photos`;
  byId("guard-keep").textContent = alone
    ? "Click a face to keep it as it is."
    : "The preview shows the first photo. Every face is covered; to keep some, choose a single photo.";
  renew();
}

const isAlone = () => files.length === 1 && !IS_ZIP.test(files[0].name);

/** Show the first photo as it would be covered; what is changed meanwhile is shown next. */
async function renew() {
  wanted += 1;
  if (!first) say(status, summary());
  start.disabled = false;
  if (asking || !first) return;
  asking = true;
  byId("guard-photo").classList.add("busy");
  while (shown !== wanted) {
    shown = wanted;
    say(status, `${summary()} Covering ${first.name} …`);
    try {
      await showPreview(first);
    } catch (error) {
      preview = null;
      say(trouble, `${first.name}: ${error.message}`);
      say(status, summary());
    }
  }
  byId("guard-photo").classList.remove("busy");
  asking = false;
  // A photo that cannot be covered has no copy; others of a batch have.
  start.disabled = isAlone() && !preview;
}

async function showPreview(photo) {
  const query = { ...options(), format: "json" };
  if (kept.length) query.keep = JSON.stringify(kept);
  const answer = await post("anonymize", photo, { query, as: "json", onWait: (sentence) => say(status, sentence) });
  if (photo !== first) return;
  preview = pictureOf(answer);
  say(trouble);
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(preview);
  await image.decode();
  drawFaces(answer);
  const covered = answer.faces.filter((face) => !face.kept).length;
  say(status, `${summary()} ${covered} of ${answer.faces.length} faces covered${isAlone() ? "" : ` in ${photo.name}`}.`);
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

const options = () => Object.fromEntries(new FormData(form));

function summary() {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  return files.length === 1 ? `${files[0].name}, ${megabytes(bytes)}.` : `${files.length} files, ${megabytes(bytes)}.`;
}

async function submit() {
  if (isAlone()) {
    save(preview, files[0].name.replace(/(\.\w+)?$/, "-covered$1"));
    return;
  }
  show();
  byId("batch-delete").hidden = true;
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
      send: sending(showSent),
      onWait: (sentence) => say(byId("batch-status"), sentence),
    });
    await watch(id);
  } catch (error) {
    refused(error.message);
  }
}

async function takeSample() {
  try {
    take([await sample()]);
  } catch (error) {
    say(trouble, error.message);
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
byId("guard-sample").addEventListener("click", takeSample);
byId("batch-new").addEventListener("click", startAnew);
byId("guard-scale").addEventListener("input", showScale);
form.addEventListener("change", renew);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
showScale();
if (known()) watch(known());
