import { BoxGestures } from "./box-gestures.js";
import { element } from "./elements.js";
import { placeBox } from "./faces.js";
import { drawRedacted } from "./redaction.js";
import { text } from "./texts.js";

// Longer side of the preview in pixels. A phone's browser may refuse a canvas as large as a photo.
const MAX_PREVIEW_SIDE = 1600;

// A new box has the usual size of the faces, or this share of the photo's shorter side if there are none.
const NEW_BOX_SHARE = 0.15;

/**
 * A photo on a canvas with masks over its faces, which people correct: faces to keep, and boxes of their own.
 *
 * Boxes are [x1, y1, x2, y2] in pixels of the upright photo. `onChange` is called after every change of what is hidden.
 */
export class FaceEditor {
  #canvas;
  #layer;
  #addButton;
  #undoButton;
  #onChange;
  #picture = null;
  #size = null;
  #faces = [];
  #mask = null;
  #confidence = 0;
  #editable = false;
  // What a person changed: the faces to keep, by their box as text, and their own boxes, by number.
  #state = { kept: [], drawn: [] };
  #history = [];
  #keyedBox = null;
  #selected = null;
  #lastNumber = 0;
  #elements = new Map();
  #frame = 0;

  constructor({ canvas, layer, addButton, undoButton, onChange }) {
    this.#canvas = canvas;
    this.#layer = layer;
    this.#addButton = addButton;
    this.#undoButton = undoButton;
    this.#onChange = onChange;
    new BoxGestures(layer, this);
    addButton.addEventListener("click", () => this.addBox(this.size.width / 2, this.size.height / 2));
    undoButton.addEventListener("click", () => this.undo());
  }

  /** Show a picture of a photo of this size without masks; null shows nothing. */
  show(picture, size, editable = false) {
    this.#picture = picture && shrunk(picture);
    this.#size = size;
    this.#editable = editable;
    this.#faces = [];
    this.#state = { kept: [], drawn: [] };
    this.#history = [];
    this.#selected = null;
    this.#lastNumber = 0;
    this.#canvas.hidden = !picture;
    if (picture) [this.#canvas.width, this.#canvas.height] = [this.#picture.width, this.#picture.height];
    this.#update();
  }

  /** Set what the service found, and show only what has this confidence. Changes by the person stay. */
  setFaces(faces, confidence) {
    this.#faces = faces;
    this.setConfidence(confidence);
  }

  setConfidence(confidence) {
    this.#confidence = confidence;
    this.#update();
  }

  /** Set the `method`, `shape` and `scale` of all masks; null shows the photo as it is. */
  setMask(mask) {
    this.#mask = mask;
    this.#update();
  }

  get size() {
    return this.#size;
  }

  get editable() {
    return this.#editable;
  }

  /** Whether a person changed what is hidden. */
  get isChanged() {
    return this.#history.length > 0;
  }

  /** All boxes to hide. */
  get boxes() {
    const found = this.#shownFaces.filter((face) => !this.#isKept(face)).flatMap(({ boxes }) => boxes.map(({ bbox }) => bbox));
    return [...found, ...this.#state.drawn.map(({ box }) => box)];
  }

  /** The numbers of faces, of those that are hidden, and of boxes that the person drew. */
  get counts() {
    const faces = this.#shownFaces;
    return { faces: faces.length, hidden: faces.filter((face) => !this.#isKept(face)).length, drawn: this.#state.drawn.length };
  }

  /** Add a box of a usual size around a point, and focus it. */
  addBox(x, y) {
    if (!this.#editable) return;
    const side = this.#usualSide() / 2;
    this.begin();
    this.put(this.newNumber(), [x - side, y - side, x + side, y + side]);
    this.#elements.get(`box ${this.#lastNumber}`).focus();
    this.end();
  }

  deleteBox(number) {
    this.begin();
    this.#state = { ...this.#state, drawn: this.#state.drawn.filter((each) => each.number !== number) };
    this.#addButton.focus();
    this.end();
  }

  undo() {
    if (!this.#history.length) return;
    this.#state = this.#history.pop();
    this.end();
    // A disabled button loses the focus to nowhere.
    if (!this.#history.length && !this.#layer.contains(document.activeElement)) this.#addButton.focus();
  }

  newNumber() {
    this.#lastNumber += 1;
    return this.#lastNumber;
  }

  boxOf(number) {
    return this.#state.drawn.find((each) => each.number === number)?.box;
  }

  /** Begin a change, which `undo` takes back. Several of one box by the keyboard are one change. */
  begin(keyedBox = null) {
    if (keyedBox === null || keyedBox !== this.#keyedBox) this.#history.push(this.#state);
    this.#keyedBox = keyedBox;
  }

  /** Add a box or replace it, within the photo. */
  put(number, box) {
    const { width, height } = this.#size;
    const inside = box.map((edge, index) => Math.round(Math.min(Math.max(edge, 0), index % 2 ? height : width)));
    const others = this.#state.drawn.filter((each) => each.number !== number);
    const drawn = [...others, { number, box: inside }].sort((one, other) => one.number - other.number);
    this.#state = { ...this.#state, drawn };
    this.#selected = number;
    this.#update();
  }

  /** End a change. */
  end() {
    this.#update();
    this.#onChange();
  }

  /** Take back the change that has begun. */
  cancel() {
    this.#state = this.#history.pop();
    this.#update();
  }

  select(number) {
    this.#selected = number;
    this.#update();
  }

  get #shownFaces() {
    const isShown = ({ confidence }) => confidence >= this.#confidence;
    return this.#faces
      .map((face, index) => ({ ...face, number: index + 1, boxes: face.boxes.filter(isShown) }))
      .filter(({ boxes }) => boxes.length);
  }

  #isKept({ bbox }) {
    return this.#state.kept.includes(String(bbox));
  }

  #toggle({ bbox }) {
    const key = String(bbox);
    this.begin();
    const kept = this.#isKept({ bbox }) ? this.#state.kept.filter((each) => each !== key) : [...this.#state.kept, key];
    this.#state = { ...this.#state, kept };
    this.end();
  }

  #usualSide() {
    const { width, height } = this.#size;
    const sides = this.#shownFaces.map(({ bbox: [x1, y1, x2, y2] }) => Math.max(x2 - x1, y2 - y1)).sort((one, other) => one - other);
    return sides[sides.length >> 1] ?? NEW_BOX_SHARE * Math.min(width, height);
  }

  #update() {
    this.#addButton.disabled = !this.#editable;
    this.#undoButton.disabled = !this.#history.length;
    this.#place();
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    if (!this.#picture) return;
    const boxes = this.#mask ? this.boxes : [];
    drawRedacted(this.#canvas, this.#picture, this.#size, boxes, this.#mask);
  }

  /** Bring the elements over the photo up to date. Those that stay are not moved, because that would take the focus. */
  #place() {
    const wanted = this.#mask && this.#size ? [...this.#shownFaces.map((face) => this.#faceElement(face)), ...this.#drawnElements()] : [];
    for (const [key, each] of this.#elements) {
      if (!wanted.includes(each)) {
        each.remove();
        this.#elements.delete(key);
      }
    }
    wanted.forEach((each, index) => {
      if (this.#layer.children[index] !== each) this.#layer.insertBefore(each, this.#layer.children[index] ?? null);
    });
  }

  #element(key, create) {
    if (!this.#elements.has(key)) this.#elements.set(key, create());
    return this.#elements.get(key);
  }

  #faceElement(face) {
    const { bbox, number } = face;
    const shown = this.#element(`face ${bbox}`, () => {
      if (!this.#editable) return element("span");
      return element("button", { type: "button", ariaLabel: text("keep_face", { number }), onclick: () => this.#toggle(face) });
    });
    const kept = this.#isKept(face);
    shown.className = kept ? "face kept" : "face";
    if (this.#editable) shown.ariaPressed = String(kept);
    return placeBox(shown, bbox, this.#size);
  }

  #drawnElements() {
    return this.#state.drawn.flatMap(({ number, box }) => {
      const shown = this.#element(`box ${number}`, () => {
        const created = element("button", { type: "button", className: "face drawn", ariaLabel: text("your_box", { number }) });
        created.append(element("span", { className: "handle" }));
        created.setAttribute("aria-describedby", "hide-faces-help");
        created.dataset.number = number;
        created.onfocus = () => this.select(number);
        return created;
      });
      shown.classList.toggle("active", number === this.#selected);
      placeBox(shown, box, this.#size);
      return number === this.#selected ? [shown, this.#deleteButton(number, box)] : [shown];
    });
  }

  #deleteButton(number, [, y1, x2]) {
    const created = () =>
      element("button", { type: "button", className: "delete", ariaLabel: text("delete_box", { number }), onclick: () => this.deleteBox(number) }, "×");
    const button = this.#element(`delete ${number}`, created);
    button.style.left = `${(100 * x2) / this.#size.width}%`;
    button.style.top = `${(100 * y1) / this.#size.height}%`;
    return button;
  }
}

/** Draw a picture at the size of the preview. The photo itself can then be freed. */
function shrunk(picture) {
  const { width, height } = picture;
  const zoom = Math.min(1, MAX_PREVIEW_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.max(1, Math.round(width * zoom)), Math.max(1, Math.round(height * zoom))];
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}
