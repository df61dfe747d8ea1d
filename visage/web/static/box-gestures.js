// In CSS pixels: from this distance on a press is a drag, and the smallest side of a box.
const DRAG_DISTANCE = 6;
const MIN_SIDE = 12;

// An arrow key moves an edge by this share of the photo's shorter side.
const STEP_SHARE = 0.01;

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Presses and keys on a layer over a photo, as changes of the boxes in an editor.
 *
 * A mouse or a pen draws a box where there is none, and a tap or click adds one. A drag moves a box, or resizes it at
 * its handle. Arrow keys move the focused box, with Shift they resize it, and Delete deletes it. Touch leaves drags
 * beside boxes to the browser, which scrolls.
 */
export class BoxGestures {
  #layer;
  #editor;
  #press = null;
  #ignoreClick = false;

  constructor(layer, editor) {
    this.#layer = layer;
    this.#editor = editor;
    layer.addEventListener("pointerdown", (event) => this.#down(event));
    layer.addEventListener("pointermove", (event) => this.#move(event));
    layer.addEventListener("pointerup", () => this.#up());
    layer.addEventListener("pointercancel", () => this.#cancel());
    // In the capture phase, so that the end of a drag does not click the face under it.
    layer.addEventListener("click", (event) => this.#click(event), { capture: true });
    layer.addEventListener("keydown", (event) => this.#key(event));
  }

  #down(event) {
    this.#ignoreClick = false;
    const drawn = event.target.closest(".drawn");
    if (!this.#editor.editable || event.button || event.target.closest(".delete")) return;
    if (!drawn && event.pointerType === "touch") return;
    const number = drawn ? Number(drawn.dataset.number) : null;
    const resizes = !drawn || event.target.matches(".handle");
    this.#press = { number, resizes, start: this.#point(event), box: number && this.#editor.boxOf(number), clientX: event.clientX, clientY: event.clientY, moved: false };
    // Without this, dragging selects text.
    if (!drawn) event.preventDefault();
  }

  #move(event) {
    const press = this.#press;
    if (!press) return;
    if (!press.moved) {
      if (Math.hypot(event.clientX - press.clientX, event.clientY - press.clientY) < DRAG_DISTANCE) return;
      press.moved = true;
      this.#layer.setPointerCapture(event.pointerId);
      this.#editor.begin();
      press.number ??= this.#editor.newNumber();
      press.box ??= [press.start.x, press.start.y, press.start.x, press.start.y];
    }
    const { x, y } = this.#point(event);
    const [dx, dy] = [x - press.start.x, y - press.start.y];
    this.#editor.put(press.number, press.resizes ? this.#resized(press.box, dx, dy) : this.#moved(press.box, dx, dy));
  }

  #up() {
    const press = this.#press;
    this.#press = null;
    if (!press?.moved) return;
    this.#ignoreClick = true;
    this.#editor.end();
  }

  #cancel() {
    if (this.#press?.moved) this.#editor.cancel();
    this.#press = null;
  }

  #click(event) {
    if (this.#ignoreClick) {
      this.#ignoreClick = false;
      event.stopPropagation();
      return;
    }
    const drawn = event.target.closest(".drawn");
    // Safari does not focus a clicked button.
    if (drawn) drawn.focus();
    else if (event.target === this.#layer && this.#editor.editable) {
      const { x, y } = this.#point(event);
      this.#editor.addBox(x, y);
    }
  }

  #key(event) {
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.#editor.undo();
      return;
    }
    const number = Number(event.target.dataset.number);
    if (!number) return;
    if (event.key === "Delete" || event.key === "Backspace") this.#editor.deleteBox(number);
    if (!Object.hasOwn(ARROWS, event.key)) return;
    // The arrow keys would scroll the page.
    event.preventDefault();
    const { width, height } = this.#editor.size;
    const step = Math.max(1, Math.round(STEP_SHARE * Math.min(width, height)));
    const [dx, dy] = ARROWS[event.key].map((direction) => direction * step);
    const box = this.#editor.boxOf(number);
    this.#editor.begin(number);
    this.#editor.put(number, event.shiftKey ? this.#resized(box, dx, dy) : this.#moved(box, dx, dy));
    this.#editor.end();
  }

  #moved([x1, y1, x2, y2], dx, dy) {
    const { width, height } = this.#editor.size;
    const across = Math.min(Math.max(dx, -x1), width - x2);
    const down = Math.min(Math.max(dy, -y1), height - y2);
    return [x1 + across, y1 + down, x2 + across, y2 + down];
  }

  /** Move the corner at the lower right; another one follows if it passes them. */
  #resized([x1, y1, x2, y2], dx, dy) {
    const [left, right] = this.#edges(x1, x2 + dx, this.#editor.size.width);
    const [top, bottom] = this.#edges(y1, y2 + dy, this.#editor.size.height);
    return [left, top, right, bottom];
  }

  #edges(fixed, moved, limit) {
    const least = Math.min(limit, this.#inPhoto(MIN_SIDE));
    const [low, high] = [Math.max(0, Math.min(fixed, moved)), Math.min(limit, Math.max(fixed, moved))];
    if (high - low >= least) return [low, high];
    const start = Math.min(moved < fixed ? Math.max(0, high - least) : low, limit - least);
    return [start, start + least];
  }

  #inPhoto(cssPixels) {
    return (cssPixels * this.#editor.size.width) / this.#layer.getBoundingClientRect().width;
  }

  #point({ clientX, clientY }) {
    const { left, top } = this.#layer.getBoundingClientRect();
    return { x: this.#inPhoto(clientX - left), y: this.#inPhoto(clientY - top) };
  }
}
