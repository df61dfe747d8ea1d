export const byId = (id) => document.getElementById(id);

/** A new element; strings among its children are text, never markup. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Say something in a live region, or nothing; what is said already is not said again. */
export function say(region, sentence = "") {
  if (region.textContent !== sentence) region.textContent = sentence;
  // A status that was not there before it had something to say is not read out everywhere.
  if (region.getAttribute("role") !== "status") region.hidden = !sentence;
}

/** Say what went wrong with a file or a photo, and where trying again may mend it, offer that. */
export function sayTrouble(region, name, error, tryAgain) {
  say(region, `${name}: ${error.message}`);
  if (error.mayPass) region.append(element("button", { type: "button", onclick: tryAgain }, "Try again"));
}

/** Show the value of a slider, to the eye and to the ear; its label has a place for it. */
export function showValue(slider, text) {
  slider.ariaValueText = text;
  slider.labels[0].querySelector("span").textContent = text;
}

/** Have an image show a blob, or nothing; what it showed before may be forgotten. */
export function showPicture(image, blob) {
  URL.revokeObjectURL(image.src);
  if (blob) image.src = URL.createObjectURL(blob);
  else image.removeAttribute("src");
}

/** Offer a blob, or what lies at an address, as a file. */
export function save(source, name) {
  const address = source instanceof Blob ? URL.createObjectURL(source) : source;
  element("a", { href: address, download: name }).click();
  // Browsers read the blob after the click; none says when it has.
  if (source instanceof Blob) setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
