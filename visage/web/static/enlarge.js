import { post } from "./api.js";
import { byId, save, say, showValue } from "./elements.js";
import { onChoice, sample } from "./intake.js";

const status = byId("enlarge-status");
const trouble = byId("enlarge-trouble");
const before = byId("enlarge-before");
const after = byId("enlarge-after");
const part = byId("enlarge-part");

let working = new AbortController();

/** Enlarge the first of these photos, in place of the one before. */
export async function take([photo]) {
  working.abort();
  working = new AbortController();
  const { signal } = working;
  byId("enlarge-drop").classList.add("small");
  byId("enlarge-result").hidden = true;
  byId("enlarge-progress").hidden = false;
  say(trouble);
  const begun = performance.now();
  const passed = () => Math.round((performance.now() - begun) / 1000);
  // The service tells nothing before it has ended, but the time that passes shows that the page has not.
  const tick = setInterval(() => say(status, `Enlarging ${photo.name} … ${passed()} seconds`), 5000);
  say(status, `Enlarging ${photo.name} …`);
  try {
    const larger = await post("enhance", photo, { as: "blob", signal, onWait: (sentence) => say(status, sentence) });
    await show(photo, larger);
  } catch (error) {
    if (signal.aborted) return;
    say(status);
    say(trouble, `${photo.name}: ${error.message}`);
  } finally {
    clearInterval(tick);
    // Another photo may be under way already.
    if (working.signal === signal) byId("enlarge-progress").hidden = true;
  }
}

async function show(photo, larger) {
  for (const [image, content] of [[before, photo], [after, larger]]) {
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(content);
  }
  await after.decode();
  byId("enlarge-result").hidden = false;
  byId("enlarge-download").onclick = () => save(larger, photo.name.replace(/(\.\w+)?$/, "-larger$1"));
  say(status, `${photo.name}: ${after.naturalWidth} × ${after.naturalHeight} pixels.`);
}

function slide() {
  before.parentElement.style.setProperty("--part", `${part.value}%`);
  showValue(part, `${part.value}% before, ${100 - part.value}% after`);
}

async function takeSample() {
  try {
    take([await sample()]);
  } catch (error) {
    say(trouble, error.message);
  }
}

onChoice(byId("enlarge-choose"), take);
byId("enlarge-sample").addEventListener("click", takeSample);
part.addEventListener("input", slide);
// The picture follows the pointer too, as the slider below it does.
before.parentElement.addEventListener("pointermove", ({ buttons, pointerType, clientX, currentTarget }) => {
  if (pointerType === "mouse" && !buttons) return;
  const { left, width } = currentTarget.getBoundingClientRect();
  part.value = (100 * (clientX - left)) / width;
  slide();
});
before.parentElement.addEventListener("dragstart", (event) => event.preventDefault());
slide();
