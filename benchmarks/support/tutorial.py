"""The service that tutorials build, for comparison.

`MODEL_DIR=NETS gunicorn --workers 2 benchmarks.support.tutorial:app` starts it. It is Flask around three nets of
cv2.dnn, with what such articles have in common: all requests share the nets, each net has its own crop, all nets use
the mean of the detector, the confidence threshold is 0.7, and all responses go through one file.
"""

import os
from pathlib import Path

import cv2
import numpy as np
from flask import Flask, Response, request, send_file
from flask.typing import ResponseReturnValue

app = Flask(__name__)

NETS = Path(os.environ.get("MODEL_DIR", "models"))
OUTPUT = Path(os.environ.get("OUTPUT_DIR", "/tmp")) / "output.jpg"
MEAN = (104, 117, 123)
GENDERS = ["Male", "Female"]
AGES = ["(0-2)", "(4-6)", "(8-12)", "(15-20)", "(25-32)", "(38-43)", "(48-53)", "(60-100)"]

face_net, gender_net, age_net = (
    cv2.dnn.readNetFromCaffe(str(NETS / f"{name}.prototxt"), str(NETS / f"{name}.caffemodel"))
    for name in ("face", "gender", "age")
)


@app.post("/predict")
def predict() -> ResponseReturnValue:
    upload = request.files.get("image")
    image = cv2.imdecode(np.frombuffer(upload.read() if upload else b"", np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return Response("No image", 400)
    height, width = image.shape[:2]
    face_net.setInput(cv2.dnn.blobFromImage(cv2.resize(image, (300, 300)), 1.0, (300, 300), MEAN))
    for detection in face_net.forward()[0, 0]:
        if detection[2] > 0.7:
            x1, y1, x2, y2 = (detection[3:7] * [width, height, width, height]).astype(int)
            face = image[y1:y2, x1:x2]
            if face.size:
                gender_net.setInput(cv2.dnn.blobFromImage(face, 1.0, (227, 227), MEAN))
                gender = GENDERS[gender_net.forward()[0].argmax()]
                age_net.setInput(cv2.dnn.blobFromImage(face, 1.0, (227, 227), MEAN))
                age = AGES[age_net.forward()[0].argmax()]
                cv2.rectangle(image, (x1, y1), (x2, y2), (0, 255, 0), 2)
                cv2.putText(image, f"{gender}, {age}", (x1, y1 - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 255, 0), 2)
    cv2.imwrite(str(OUTPUT), image)
    return send_file(OUTPUT, mimetype="image/jpeg")
