import { postPhoto } from "./api.js";
import { byId, element, showMessage } from "./elements.js";
import { countFaces, describe, placeBox } from "./faces.js";
import { decimal, text } from "./texts.js";
import { captureFrame, closeCamera, isFront, nextCamera, openCamera } from "./webcam.js";

// A larger frame takes longer to send and helps only with distant faces.
const MAX_SIDE = 640;

// The frame rate is the mean over this many frames.
const RATE_FRAMES = 20;

const video = byId("camera-video");
const layer = byId("camera-photo").querySelector(".faces");
const startButton = byId("camera-start");
const switchButton = byId("camera-switch");
const status = byId("camera-status");

let running = null;

async function start(constraints) {
  running = new AbortController();
  const { signal } = running;
  startButton.textContent = text("stop_camera");
  showMessage(byId("camera-error"));
  try {
    await openCamera(video, constraints, signal);
    if (signal.aborted) return;
    byId("camera-photo").hidden = false;
    switchButton.hidden = !(await nextCamera(video));
    await findFaces(signal);
  } catch (error) {
    if (signal.aborted) return;
    stop();
    showMessage(byId("camera-error"), error.message);
  }
}

/** Send one frame at a time: the next one after the response to the last. */
async function findFaces(signal) {
  const times = [];
  while (!signal.aborted) {
    if (document.hidden) await new Promise((resolve) => { document.onvisibilitychange = resolve; });
    if (signal.aborted) return;
    const frame = await captureFrame(video, MAX_SIDE);
    const result = await postPhoto("predict", frame, {
      query: { annotated: false, detail: "fast" },
      as: "json",
      signal,
      onWait: (message) => {
        // The boxes belong to an old picture.
        layer.replaceChildren();
        showMessage(status, message);
      },
    });
    drawFaces(result);
    times.push(performance.now());
    if (times.length > RATE_FRAMES) times.shift();
    const rate = ((times.length - 1) * 1000) / (times.at(-1) - times[0]);
    if (times.length > 1) byId("camera-rate").textContent = text("frames", { rate: decimal(rate, 1) });
  }
}

function drawFaces({ faces, image }) {
  const isMirrored = isFront(video);
  const boxes = faces.map((face) => {
    const box = element("span", { className: "face" }, element("span", { className: "tag" }, describe(face)));
    return placeBox(box, isMirrored ? mirrored(face.bbox, image) : face.bbox, image);
  });
  layer.replaceChildren(...boxes);
  for (const box of boxes) keepInside(box.firstChild, layer);
  // The live region contains only the count, so screen readers speak when it changes and not at every frame.
  showMessage(status, text("camera_found", { faces: countFaces(faces.length) }));
}

const mirrored = ([x1, y1, x2, y2], { width }) => [width - x2, y1, width - x1, y2];

/** Move a label so that it does not leave the picture. */
function keepInside(label, picture) {
  const inner = label.getBoundingClientRect();
  const outer = picture.getBoundingClientRect();
  const across = Math.max(outer.left - inner.left, Math.min(0, outer.right - inner.right));
  const down = Math.max(outer.top - inner.top, Math.min(0, outer.bottom - inner.bottom));
  label.style.translate = `${across}px ${down}px`;
}

function stop() {
  pause();
  switchButton.hidden = true;
}

function pause() {
  running?.abort(new DOMException("stopped", "AbortError"));
  running = null;
  closeCamera(video);
  layer.replaceChildren();
  byId("camera-photo").hidden = true;
  byId("camera-rate").textContent = "";
  startButton.textContent = text("start_camera");
  showMessage(status);
}

startButton.addEventListener("click", () => (running ? stop() : start({ facingMode: "user" })));
switchButton.addEventListener("click", async () => {
  const next = await nextCamera(video);
  // The user may have stopped or switched the camera meanwhile.
  if (!next) return;
  pause();
  start(next);
});
addEventListener("hashchange", () => {
  if (location.hash !== "#camera" && running) stop();
});
