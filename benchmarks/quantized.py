"""Nets as 8-bit integers against themselves: `python -m benchmarks.quantized LABELLED_FACES`.

`Net.quantize` is calibrated with some of the faces and judged by the others, whose genders the folder's labels.csv
tells; the time is that of a face, on one thread, the nets taking turns.
"""

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import table
from visage.evaluation.labels import read_labels
from visage.images.decoding import decode, inspect
from visage.nets.classifier import Classifier
from visage.packs.pack import find_pack

CALIBRATION, JUDGED = 64, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--pack", default="compact", help="name or path of a model pack")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    spec = find_pack(arguments.pack).gender
    plain = Classifier(spec)
    blobs, labels = [], []
    labelled = [photo for photo in read_labels(arguments.faces).photos if photo.faces and photo.faces[0].gender]
    if len(labelled) <= CALIBRATION:
        parser.error(f"{arguments.faces} needs more than {CALIBRATION} photos of faces with a gender")
    for photo in labelled[: CALIBRATION + JUDGED]:
        data = photo.path.read_bytes()
        face = photo.faces[0]
        pixels = decode(data, inspect(data, 50_000_000)).pixels
        blob = plain._preprocess(pixels, np.array(face.box, np.float32)).astype(np.float32)
        blobs.append((blob - np.array(spec.mean, np.float32)[:, None, None]) * np.float32(spec.scale))
        labels.append(face.gender)
    small = plain._net.quantize([np.concatenate(blobs[:CALIBRATION])], cv2.CV_32F, cv2.CV_32F)
    rows = []
    seconds: dict[str, list[float]] = {"float32": [], "int8": []}
    right = dict.fromkeys(seconds, 0)
    for blob, label in zip(blobs[CALIBRATION:], labels[CALIBRATION:], strict=True):
        for name, net in (("float32", plain._net), ("int8", small)):
            began = time.perf_counter()
            net.setInput(blob)
            answer = net.forward().ravel()
            seconds[name].append(time.perf_counter() - began)
            right[name] += spec.labels[int(answer.argmax())] == label
    for name, times in seconds.items():
        rows.append([name, f"{1000 * statistics.median(times):.2f}", f"{right[name] / len(times):.1%}"])
    print(f"pack {arguments.pack}\n\n{table(['gender net', 'ms', 'right'], rows)}")


if __name__ == "__main__":
    main()
