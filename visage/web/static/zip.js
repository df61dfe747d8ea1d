// Signatures and offsets: APPNOTE.TXT by PKWARE, 4.3.7, 4.3.12 and 4.3.16.
const END = 0x06054b50;
const END_BYTES = 22;
const LONGEST_COMMENT = 65_535;
const DEFLATED = 8;

const PHOTO = /^(?!__MACOSX\/).*\.(jpe?g|png|webp|bmp)$/i;

/** The first photo of a ZIP by its name, unpacked, to be shown; null where there is none that can be read. */
export async function firstPhoto(file) {
  try {
    for (const entry of await directory(file)) {
      if (PHOTO.test(entry.name)) return new File([await unpacked(file, entry)], entry.name);
    }
  } catch {
    // The service reads archives with more care, and has a sentence for what is wrong with this one.
  }
  return null;
}

async function directory(file) {
  const tail = await view(file, Math.max(0, file.size - END_BYTES - LONGEST_COMMENT), file.size);
  let at = tail.byteLength - END_BYTES;
  while (tail.getUint32(at, true) !== END) at -= 1;
  const start = tail.getUint32(at + 16, true);
  const listed = await view(file, start, start + tail.getUint32(at + 12, true));
  const entries = [];
  for (let here = 0; here < listed.byteLength; ) {
    const length = listed.getUint16(here + 28, true);
    entries.push({
      name: new TextDecoder().decode(new Uint8Array(listed.buffer, here + 46, length)),
      deflated: listed.getUint16(here + 10, true) === DEFLATED,
      size: listed.getUint32(here + 20, true),
      offset: listed.getUint32(here + 42, true),
    });
    here += 46 + length + listed.getUint16(here + 30, true) + listed.getUint16(here + 32, true);
  }
  return entries;
}

async function unpacked(file, { offset, size, deflated }) {
  const head = await view(file, offset, offset + 30);
  const start = offset + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  const packed = file.slice(start, start + size);
  if (!deflated) return packed;
  return new Response(packed.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob();
}

async function view(file, from, to) {
  return new DataView(await file.slice(from, to).arrayBuffer());
}
