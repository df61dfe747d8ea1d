import { call } from "./api.js";

/** The files that were dropped, those of folders too, each with its path as its name. */
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

/** Have `take` called with what is chosen in a file field; the same may be chosen again. */
export function onChoice(field, take) {
  field.addEventListener("change", () => {
    const files = [...field.files];
    field.value = "";
    if (files.length) take(files);
  });
}

/** The photo for those who have none at hand: Eileen Collins, photographed by NASA. */
export async function sample() {
  const blob = await call("static/astronaut.jpg", { as: "blob" });
  return new File([blob], "astronaut.jpg", { type: "image/jpeg" });
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
