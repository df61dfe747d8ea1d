export const byId = (id) => document.getElementById(id);

/** Create an element. Strings among `children` become text, never markup. */
export function element(tag, properties = {}, ...children) {
  const created = Object.assign(document.createElement(tag), properties);
  created.append(...children);
  return created;
}

/** Show a message in a live region, or clear it. The same message is not announced twice. */
export function showMessage(region, message = "") {
  if (region.textContent !== message) region.textContent = message;
  // Some screen readers do not announce a status region that was hidden, so it always stays visible.
  if (region.getAttribute("role") !== "status") region.hidden = !message;
}

/** Show the value of a slider in its label, and announce it. */
export function showValue(slider, text) {
  slider.ariaValueText = text;
  slider.labels[0].querySelector("span").textContent = text;
}

/** Show a blob in an <img>, or nothing. Frees the previous blob. */
export function showImage(image, blob) {
  URL.revokeObjectURL(image.src);
  if (blob) image.src = URL.createObjectURL(blob);
  else image.removeAttribute("src");
}

/** The blob of a picture that the service sent as base64. */
export function blobOf(base64, format) {
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  // Ten times as fast as `Uint8Array.from`, which takes seconds for a large picture.
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = characters.charCodeAt(index);
  return new Blob([bytes], { type: `image/${format.toLowerCase()}` });
}

/** Download a blob or a URL under a file name. */
export function saveFile(source, name) {
  const url = source instanceof Blob ? URL.createObjectURL(source) : source;
  element("a", { href: url, download: name }).click();
  // Browsers read the blob some time after the click, and no event tells when.
  if (source instanceof Blob) setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
