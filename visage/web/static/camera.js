import { byId, say } from "./elements.js";

const NO_CAMERA = "There is no camera that this page may use: allow it in the browser, and open the page by HTTPS or as localhost.";

/**
 * Show a camera's picture in a video element until `close` is called with it, or until `signal` says that it is no more
 * wanted, as it may while the visitor is asked. `which` chooses among cameras, as getUserMedia has it.
 */
export async function open(video, which, signal) {
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, ...which } });
    if (signal.aborted) return end(stream);
    video.srcObject = stream;
    await video.play();
  } catch {
    if (!signal.aborted) close(video);
    throw new Error(NO_CAMERA);
  }
}

export function close(video) {
  if (video.srcObject) end(video.srcObject);
  video.srcObject = null;
}

/** Which camera comes after the one that is shown, the first after the last; null where there is no other. */
export async function next(video) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const cameras = devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId }) => deviceId);
  const [track] = video.srcObject?.getVideoTracks() ?? [];
  if (cameras.length < 2 || !track) return null;
  const shown = cameras.indexOf(track.getSettings().deviceId);
  return { deviceId: { exact: cameras[(shown + 1) % cameras.length] } };
}

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** What a video shows now as a JPEG, its longer side at most `longest` pixels. */
export async function grab(video, longest = Infinity) {
  const scale = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  const canvas = new OffscreenCanvas(Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
}

/** Resolve to a photo that the visitor takes in a dialog, or to null. */
export function takePhoto() {
  const dialog = byId("camera-dialog");
  const video = byId("camera-video");
  const shutter = dialog.querySelector(".primary");
  say(byId("camera-trouble"));
  shutter.disabled = true;
  dialog.returnValue = "";
  dialog.showModal();
  const shown = new AbortController();
  open(video, { facingMode: "environment" }, shown.signal).then(
    () => {
      if (shown.signal.aborted) return;
      shutter.disabled = false;
      shutter.focus();
    },
    (error) => { if (!shown.signal.aborted) say(byId("camera-trouble"), error.message); },
  );
  return new Promise((resolve) => {
    dialog.onclose = async () => {
      shown.abort();
      const photo = dialog.returnValue ? await grab(video) : null;
      close(video);
      resolve(photo && new File([photo], "camera.jpg", { type: "image/jpeg" }));
    };
  });
}
