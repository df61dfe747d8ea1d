// Signatures and offsets are from PKWARE's APPNOTE.TXT: 4.3.7, 4.3.12 and 4.3.16.
const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const DEFLATED = 8;

const PHOTO_NAME = /^(?!__MACOSX\/).*\.(jpe?g|png|webp|bmp|heic|heif|hif|avif|tiff?)$/i;

// Folders, what operating systems add, and the file with boxes.
const NOT_COUNTED = /\/$|(^|\/)(__MACOSX\/.*|\.ds_store|thumbs\.db|desktop\.ini|faces\.json)$/i;

/** Unpack the first photo of a ZIP, for a preview. Resolves to null if there is no readable one. */
export async function firstPhoto(zip) {
  try {
    for (const entry of await entriesOf(zip)) {
      if (PHOTO_NAME.test(entry.name)) return new File([await unpack(zip, entry)], entry.name);
    }
  } catch {
    // The service validates archives and reports what is wrong.
  }
  return null;
}

/** Unpack the file of a ZIP with this number, from 1, as the service counts them; null if there is none. */
export async function fileAt(zip, number) {
  const entry = (await userEntries(zip))[number - 1];
  return entry ? new File([await unpack(zip, entry)], entry.name) : null;
}

/** How many files of a ZIP the service counts. */
export const countFiles = async (zip) => (await userEntries(zip)).length;

async function userEntries(zip) {
  return (await entriesOf(zip)).filter(({ name }) => !NOT_COUNTED.test(name));
}

async function entriesOf(zip) {
  const tail = await read(zip, Math.max(0, zip.size - END_BYTES - MAX_COMMENT_BYTES), zip.size);
  let end = tail.byteLength - END_BYTES;
  while (tail.getUint32(end, true) !== END_SIGNATURE) end -= 1;
  const start = tail.getUint32(end + 16, true);
  const directory = await read(zip, start, start + tail.getUint32(end + 12, true));
  const entries = [];
  for (let at = 0; at < directory.byteLength; ) {
    const nameBytes = directory.getUint16(at + 28, true);
    entries.push({
      name: new TextDecoder().decode(new Uint8Array(directory.buffer, at + 46, nameBytes)),
      deflated: directory.getUint16(at + 10, true) === DEFLATED,
      size: directory.getUint32(at + 20, true),
      offset: directory.getUint32(at + 42, true),
    });
    at += 46 + nameBytes + directory.getUint16(at + 30, true) + directory.getUint16(at + 32, true);
  }
  return entries;
}

async function unpack(zip, { offset, size, deflated }) {
  const header = await read(zip, offset, offset + 30);
  const start = offset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
  const packed = zip.slice(start, start + size);
  if (!deflated) return packed;
  return new Response(packed.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob();
}

async function read(zip, from, to) {
  return new DataView(await zip.slice(from, to).arrayBuffer());
}
