import { post } from "./api.js";
import * as camera from "./camera.js";
import { byId, element, say } from "./elements.js";
import { lay, summary } from "./faces.js";

// The detector sees no more of a frame's faces with more pixels, but for far ones; more take longer on their way.
const LONGEST_SIDE = 640;

// Frames that the rate is taken over.
const RATE_FRAMES = 20;

const video = byId("live-video");
const layer = byId("live-photo").querySelector(".faces");
const start = byId("live-start");
const turn = byId("live-turn");
const status = byId("live-status");

let running = null;

async function run(which) {
  running = new AbortController();
  const { signal } = running;
  start.textContent = "Stop camera";
  say(byId("live-trouble"));
  try {
    await camera.open(video, which, signal);
    if (signal.aborted) return;
    byId("live-photo").hidden = false;
    turn.hidden = !(await camera.next(video));
    await look(signal);
  } catch (error) {
    if (signal.aborted) return;
    stop();
    say(byId("live-trouble"), error.message);
  }
}

/** One frame after the other, the next when the answer to the last has come. */
async function look(signal) {
  const ends = [];
  while (!signal.aborted) {
    if (document.hidden) await new Promise((resolve) => { document.onvisibilitychange = resolve; });
    if (signal.aborted) return;
    const frame = await camera.grab(video, LONGEST_SIDE);
    const answer = await post("predict", frame, {
      query: { annotated: false, detail: "fast" },
      as: "json",
      signal,
      onWait: (sentence) => say(status, sentence),
    });
    draw(answer);
    ends.push(performance.now());
    if (ends.length > RATE_FRAMES) ends.shift();
    const rate = ((ends.length - 1) * 1000) / (ends.at(-1) - ends[0]);
    if (ends.length > 1) byId("live-pace").textContent = `${rate.toFixed(1)} frames a second`;
  }
}

function draw({ faces, image }) {
  const tagged = faces.map((face) => {
    const box = element("span", { className: "face" }, element("span", { className: "tag" }, summary(face)));
    return lay(box, face.bbox, image);
  });
  layer.replaceChildren(...tagged);
  // A live region that spoke of every frame would never be silent: it speaks when their number changes.
  say(status, faces.length === 0 ? "No face." : faces.length === 1 ? "1 face." : `${faces.length} faces.`);
}

function stop() {
  halt();
  turn.hidden = true;
}

function halt() {
  running?.abort(new DOMException("stopped", "AbortError"));
  running = null;
  camera.close(video);
  layer.replaceChildren();
  byId("live-photo").hidden = true;
  byId("live-pace").textContent = "";
  start.textContent = "Start camera";
  say(status);
}

start.addEventListener("click", () => (running ? stop() : run({ facingMode: "user" })));
turn.addEventListener("click", async () => {
  const which = await camera.next(video);
  // It may have been stopped, or turned, meanwhile.
  if (!which) return;
  halt();
  run(which);
});
addEventListener("hashchange", () => {
  if (location.hash !== "#live" && running) stop();
});
