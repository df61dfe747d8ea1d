import { byId, showMessage } from "./elements.js";
import { text } from "./texts.js";

// The names of getUserMedia's errors (W3C, Media Capture and Streams, 10.2).
const REASONS = {
  NotAllowedError: "camera_denied",
  SecurityError: "camera_denied",
  NotFoundError: "camera_absent",
  OverconstrainedError: "camera_absent",
};

/**
 * Show a camera in a video element until `closeCamera`. `constraints` are those of getUserMedia and select the camera.
 *
 * If `signal` is aborted while the user decides about the permission, the camera is turned off at once. Rejects with a
 * sentence for the user.
 */
export async function openCamera(video, constraints, signal) {
  // Browsers hide the interface from other pages.
  if (!navigator.mediaDevices) throw new Error(text("camera_insecure"));
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, ...constraints } });
    if (signal.aborted) return stopStream(stream);
    video.srcObject = stream;
    await video.play();
    video.classList.toggle("mirrored", isFront(video));
  } catch (error) {
    if (!signal.aborted) closeCamera(video);
    throw new Error(text(REASONS[error.name] ?? "camera_busy"));
  }
}

/** Whether a camera looks at the person in front of the screen, who expects a mirror. Webcams do not say where they look. */
export function isFront(video) {
  const [track] = video.srcObject?.getVideoTracks() ?? [];
  return Boolean(track) && (track.getSettings().facingMode ?? "user") === "user";
}

export function closeCamera(video) {
  if (video.srcObject) stopStream(video.srcObject);
  video.srcObject = null;
}

/** The constraints of the camera after the current one, in a circle; null if there is no other. */
export async function nextCamera(video) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  const cameras = devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId }) => deviceId);
  const [track] = video.srcObject?.getVideoTracks() ?? [];
  if (cameras.length < 2 || !track) return null;
  const current = cameras.indexOf(track.getSettings().deviceId);
  return { deviceId: { exact: cameras[(current + 1) % cameras.length] } };
}

function stopStream(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** The current frame of a video as a JPEG, with a longer side of at most `maxSide` pixels. */
export async function captureFrame(video, maxSide = Infinity) {
  const scale = Math.min(1, maxSide / Math.max(video.videoWidth, video.videoHeight));
  const canvas = new OffscreenCanvas(Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale));
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
}

/** Let the user take a photo in a dialog. Resolves to a JPEG file, or to null if the user cancels. */
export function takePhoto() {
  const dialog = byId("photo-dialog");
  const video = byId("photo-dialog-video");
  const shutter = dialog.querySelector(".primary");
  showMessage(byId("photo-dialog-error"));
  shutter.disabled = true;
  dialog.returnValue = "";
  dialog.showModal();
  const closed = new AbortController();
  openCamera(video, { facingMode: "environment" }, closed.signal).then(
    () => {
      if (closed.signal.aborted) return;
      shutter.disabled = false;
      shutter.focus();
    },
    (error) => { if (!closed.signal.aborted) showMessage(byId("photo-dialog-error"), error.message); },
  );
  return new Promise((resolve) => {
    dialog.onclose = async () => {
      closed.abort();
      const photo = dialog.returnValue ? await captureFrame(video) : null;
      closeCamera(video);
      resolve(photo && new File([photo], "camera.jpg", { type: "image/jpeg" }));
    };
  });
}
