import { request } from "./api.js";
import { byId, element, showImage } from "./elements.js";
import { countFaces } from "./faces.js";
import { text } from "./texts.js";

// Longer side of a small copy in pixels: twice that of a tile, for fine screens.
const COPY_SIDE = 320;

// Tiles that are added at once, and copies that are fetched at the same time.
const PAGE = 200;
const FETCHES = 3;

const region = byId("batch-review");
const grid = byId("batch-photos");
const more = byId("batch-more");

let review = null;

/** How many faces are hidden in a file, found by the service or by hand. */
export const hiddenIn = ({ faces = 0, cover = 0 }) => faces + cover;

/** The faces of a file. A face that a person corrected may be hidden in several places. */
const describeHidden = (file) => (file.cover ? text("places_hidden", { count: hiddenIn(file) }) : countFaces(hiddenIn(file)));

export function hideReview() {
  review?.stop();
  review = null;
  region.hidden = true;
}

/**
 * Show the pictures of a finished batch in a grid, those without a face first. `onOpen` is called with the file that
 * the user opens: the one from the service's list, with its `number`.
 */
export function showReview(id, files, onOpen) {
  hideReview();
  region.hidden = !files.length;
  review = new Review(id, files, onOpen);
}

/** Show the new picture of a file, and what the service now says about it. Puts the focus on it. */
export function showCorrected(file) {
  review?.update(file);
}

class Review {
  #id;
  #onOpen;
  #waiting;
  #tiles = new Map();
  #fetches = [];
  #running = 0;
  #stopped = new AbortController();
  // Copies are fetched when their tiles come into view.
  #observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        this.#observer.unobserve(target);
        this.#fetch(target.dataset.number);
      }
    }
  }, { rootMargin: "200px" });

  constructor(id, files, onOpen) {
    this.#id = id;
    this.#onOpen = onOpen;
    this.#waiting = [...files].sort((one, other) => hiddenIn(one) - hiddenIn(other) || one.number - other.number);
    grid.replaceChildren();
    more.onclick = () => this.#addTiles();
    this.#addTiles();
  }

  stop() {
    this.#stopped.abort();
    this.#observer.disconnect();
    for (const { image } of this.#tiles.values()) showImage(image, null);
    grid.replaceChildren();
  }

  update(file) {
    const { button } = this.#tiles.get(file.number);
    this.#describe(file, text("corrected", { hidden: describeHidden(file) }));
    this.#fetch(file.number);
    button.focus();
  }

  #addTiles() {
    const files = this.#waiting.splice(0, PAGE);
    grid.append(...files.map((file) => this.#tile(file)));
    more.hidden = !this.#waiting.length;
  }

  #tile(file) {
    const image = element("img", { alt: "", draggable: false });
    const [name, note] = [element("span", {}, file.name), element("span", { className: "quiet" })];
    const button = element("button", { type: "button" }, image, name, note);
    button.dataset.number = file.number;
    this.#tiles.set(file.number, { button, image, note });
    this.#describe(file, describeHidden(file));
    this.#observer.observe(button);
    return element("li", {}, button);
  }

  #describe(file, outcome) {
    const { button, note } = this.#tiles.get(file.number);
    note.textContent = outcome;
    button.classList.toggle("none", !hiddenIn(file));
    button.ariaLabel = text("status", { name: file.name, text: outcome });
    button.onclick = () => this.#onOpen(file);
  }

  async #fetch(number) {
    this.#fetches.push(Number(number));
    if (this.#running >= FETCHES) return;
    this.#running += 1;
    while (this.#fetches.length) await this.#show(this.#fetches.shift());
    this.#running -= 1;
  }

  async #show(number) {
    const { signal } = this.#stopped;
    try {
      const copy = await request(`batches/${this.#id}/files/${number}`, { query: { size: COPY_SIDE }, as: "blob", signal });
      if (!signal.aborted) showImage(this.#tiles.get(number).image, copy);
    } catch {
      // The tile stays without a picture; its name and number of faces are there.
    }
  }
}
