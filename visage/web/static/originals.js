import { isZip } from "./files.js";
import { countFiles, fileAt } from "./zip.js";

/** The photo that was sent as the file `number` of a batch, from the `files` that were sent; null if it is not there. */
export async function originalOf(files, { number, name }) {
  try {
    let before = 0;
    for (const file of files) {
      const count = isZip(file) ? await countFiles(file) : 1;
      if (number <= before + count) {
        const original = isZip(file) ? await fileAt(file, number - before) : file;
        return original && isNamed(original, name) ? original : null;
      }
      before += count;
    }
  } catch {
    // The ZIP has changed or is gone; the user can choose the photo.
  }
  return null;
}

/** Whether a photo has the name that the service made safe: of equal names, it numbers all but the first. */
function isNamed({ name }, safeName) {
  const plain = (path) => path.normalize("NFC").split("/").at(-1).replace(/ \(\d+\)(?=\.\w+$)/, "").replace(/[^\p{L}\p{N}]/gu, "");
  return plain(name) === plain(safeName);
}
