import { request } from "./api.js";
import { text } from "./texts.js";

// Other files of a folder are skipped. Unsupported photos, such as GIF, are sent so that the user sees why they fail.
const PHOTO_NAME = /\.(jpe?g|png|webp|bmp|heic|heif|hif|avif|gif|tiff?|zip)$/i;

// Photos that some browsers cannot show. The service writes them in another format.
const RARELY_SHOWN = /\.(heic|heif|hif|avif|tiff?)$/i;
const SUFFIXES = { "image/jpeg": ".jpg", "image/png": ".png" };

export const isZip = ({ name }) => /\.zip$/i.test(name);

// A file with the faces to keep and the boxes to cover in each photo of a batch.
const FACES_NAME = /(^|\/)faces\.json$/i;

// Files that operating systems add to folders.
const SYSTEM_NAME = /(^|\/)(\.ds_store|thumbs\.db|desktop\.ini|\._[^/]*)$/i;

/**
 * Divide files, or a promise of files, into `photos` with ZIPs, `faces` (files with boxes), and the paths of all others,
 * `leftOut`. A single file counts as a photo. Rejects if there is no photo.
 */
export async function divideFiles(chosen) {
  const files = await chosen;
  const photos = await photosAmong(files);
  const others = files.filter((file) => !photos.includes(file));
  const faces = others.filter(({ name }) => FACES_NAME.test(name));
  const leftOut = others.filter((file) => !faces.includes(file)).map(pathOf).filter((path) => !SYSTEM_NAME.test(path));
  return { photos, faces, leftOut };
}

/** The photos and ZIPs among files, or among a promise of files. Rejects if there are none. */
export async function photosAmong(chosen) {
  const files = await chosen;
  const photos = files.length === 1 ? files : files.filter(({ name }) => PHOTO_NAME.test(name));
  if (!photos.length) throw new Error(text("no_photo_among_files"));
  return photos;
}

/**
 * Show the view for batches and add photos there. `task` is the service's name: anonymize, predict or enhance; `scale`
 * is for enhance.
 */
export async function openAsBatch(photos, task, scale) {
  // A batch that is shown there stays.
  location.hash = document.getElementById("nav-hide-faces").hash;
  const { addFiles } = await import("./hide-faces.js");
  addFiles(photos, task, scale);
}

/** The dropped files, including those in dropped folders; these have a `path`. */
export async function droppedFiles(transfer) {
  // No await before this line: a transfer is empty after its event.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(filesIn))).flat();
}

export function pastedFiles(transfer) {
  return [...(transfer?.files ?? [])];
}

/** Call `addFiles` with the files that the user chooses in a file field, or chose before this module loaded. */
export function onFilesChosen(field, addFiles) {
  const handOver = () => {
    const files = [...field.files];
    // The same file can then be chosen again.
    field.value = "";
    if (files.length) addFiles(files);
  };
  field.addEventListener("change", handOver);
  // A microtask later, the calling module is initialized.
  queueMicrotask(handOver);
}

/** Resolves to whether this browser can show a photo. */
export async function canShow(file) {
  if (!RARELY_SHOWN.test(file.name)) return true;
  const url = URL.createObjectURL(file);
  try {
    await Object.assign(new Image(), { src: url }).decode();
    return true;
  } catch {
    return false;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** The name for what the service made of a photo: "me-enlarged.jpg" for me.jpg, and for me.heic as well. */
export function resultName({ name }, ending, result) {
  const suffix = (RARELY_SHOWN.test(name) && SUFFIXES[result.type]) || "$1";
  return name.replace(/(\.\w+)?$/, `-${ending}${suffix}`);
}

/** The sample photo: Eileen Collins, photographed by NASA. */
export async function samplePhoto() {
  const blob = await request("static/astronaut.jpg", { as: "blob" });
  return [new File([blob], "astronaut.jpg", { type: "image/jpeg" })];
}

/** The path of a file inside its folder, or its name. */
export const pathOf = (file) => file.path ?? (file.webkitRelativePath || file.name);

async function filesIn(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    file.path = entry.fullPath.slice(1);
    return [file];
  }
  const reader = entry.createReader();
  const children = [];
  // Browsers return a hundred entries a call, and none at the end.
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) break;
    children.push(...some);
  }
  return (await Promise.all(children.map(filesIn))).flat();
}
