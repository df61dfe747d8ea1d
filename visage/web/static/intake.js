import { call } from "./api.js";

// What a folder has beside its photos would only fail: HEIC is sent, because its failure is worth knowing.
const MAY_BE_PHOTO = /\.(jpe?g|png|webp|bmp|heic|heif|avif|gif|tiff?|zip)$/i;

export const isZip = ({ name }) => /\.zip$/i.test(name);

/** What may be photos of the files that were handed in, which may be a promise of them; rejects where there is none. */
export async function photosAmong(chosen) {
  const files = await chosen;
  const photos = files.length === 1 ? files : files.filter(({ name }) => MAY_BE_PHOTO.test(name));
  if (!photos.length) throw new Error("There is no photo among these files.");
  return photos;
}

/** Have photos worked on as a batch, where they are too many for the view that they were handed in to. */
export async function asBatch(photos, task) {
  location.hash = "guard";
  const { take } = await import("./guard.js");
  take(photos, task);
}

/** The files that were dropped, those of folders too, each with its path. */
export async function droppedFiles(transfer) {
  // Before the first wait: a transfer is empty once its event has passed.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(filesOf))).flat();
}

/** The pictures that were pasted. */
export function pastedFiles(transfer) {
  return [...(transfer?.files ?? [])];
}

/** Have `take` called with what is chosen in a file field, or was already; the same may be chosen again. */
export function onChoice(field, take) {
  const handOver = () => {
    const files = [...field.files];
    field.value = "";
    if (files.length) take(files);
  };
  field.addEventListener("change", handOver);
  // The field is shown before its view has arrived, and `take` may be called once all of that is there.
  queueMicrotask(handOver);
}

/** The photo for those who have none at hand: Eileen Collins, photographed by NASA. */
export async function sample() {
  const blob = await call("static/astronaut.jpg", { as: "blob" });
  return [new File([blob], "astronaut.jpg", { type: "image/jpeg" })];
}

/** The path of a file inside the folder that it came in. */
export const pathOf = (file) => file.path ?? (file.webkitRelativePath || file.name);

async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); });
    file.path = entry.fullPath.slice(1);
    return [file];
  }
  const reader = entry.createReader();
  const inside = [];
  // It gives a hundred at a time, and none at the end.
  for (;;) {
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map(filesOf))).flat();
}
