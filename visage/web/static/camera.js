import { byId, say } from "./elements.js";

const NO_CAMERA = "There is no camera that this page may use: allow it in the browser, and open the page by HTTPS or as localhost.";

/** Show the camera's picture in a video element until `close` is called with it. */
export async function open(video, facing = "environment") {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, width: { ideal: 1280 } } });
    await video.play();
  } catch {
    close(video);
    throw new Error(NO_CAMERA);
  }
}

export function close(video) {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
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
  open(video).then(
    () => {
      if (!dialog.open) close(video);
      shutter.disabled = false;
      shutter.focus();
    },
    (error) => say(byId("camera-trouble"), error.message),
  );
  return new Promise((resolve) => {
    dialog.onclose = async () => {
      const photo = dialog.returnValue ? await grab(video) : null;
      close(video);
      resolve(photo && new File([photo], "camera.jpg", { type: "image/jpeg" }));
    };
  });
}
