"""Samples of responses: NASA's photo of Eileen Collins, 512 x 512 pixels, with the pack `compact`."""

import json
from dataclasses import replace

from visage.anonymize.results import (
    AnonymizedImageJson,
    AnonymizedJson,
    AnonymizeTimingsJson,
    FoundBoxJson,
    FoundFaceJson,
)
from visage.enhance.results import EnhancedImageJson, EnhancedJson, EnhanceTimingsJson
from visage.faces.results import AnalysisJson, AnalysisTimingsJson, FaceJson, SizeJson
from visage.images.image_header import ACCEPTED
from visage.json_types import as_json_types
from visage.packs.origin import ModelJson
from visage.web.batch_json import BatchFileJson, BatchJson, BatchStatusJson, BatchStorageJson
from visage.web.openapi.media import JPEG_START

_MODEL = ModelJson("compact", "7")

ANALYSIS = AnalysisJson(
    image=SizeJson(512, 512),
    faces=[
        FaceJson(
            bbox=(179, 68, 269, 174),
            confidence=0.8405,
            gender="Female",
            gender_confidence=0.8481,
            age="20-29",
            age_range=(20, 29),
            age_confidence=0.482,
            age_years=29.6,
            gender_probabilities={"Male": 0.1519, "Female": 0.8481},
            age_probabilities={
                "0-2": 0.0,
                "3-9": 0.0002,
                "10-19": 0.0389,
                "20-29": 0.482,
                "30-39": 0.4152,
                "40-49": 0.0616,
                "50-59": 0.0021,
                "60-69": 0.0,
                "70+": 0.0,
            },
            landmarks=[(204.6, 105.0), (246.2, 107.0), (224.1, 127.0), (205.8, 142.5), (240.5, 144.9)],
        )
    ],
    model=_MODEL,
    timings_ms=AnalysisTimingsJson(wait=0.0, decode=1.55, detect=26.4, attributes=7.32),
    annotated_scale=1.0,
)
ANONYMIZED = AnonymizedJson(
    image=AnonymizedImageJson(512, 512, "JPEG", 8, "JPEG"),
    faces=[
        FoundFaceJson(
            (179, 64, 269, 172),
            0.9439,
            kept=False,
            boxes=[
                FoundBoxJson((178, 62, 269, 178), 0.9439),
                FoundBoxJson((181, 65, 268, 175), 0.8499),
                FoundBoxJson((181, 62, 272, 174), 0.8357),
                FoundBoxJson((181, 72, 266, 164), 0.5965),
                FoundBoxJson((174, 59, 267, 159), 0.5408),
            ],
        )
    ],
    cover=[],
    min_confidence=0.5,
    model=_MODEL,
    timings_ms=AnonymizeTimingsJson(wait=0.0, decode=1.48, detect=149.5, cover=0.78, encode=1.53),
    picture=JPEG_START,
)
ENHANCED = EnhancedJson(
    image=EnhancedImageJson(1536, 1536, "JPEG", "JPEG"),
    scale=3,
    model=_MODEL,
    timings_ms=EnhanceTimingsJson(wait=0.11, decode=1.65, enlarge=405.58, encode=7.98),
    picture=JPEG_START,
)

BATCH_ID = "VccZjKAF-ZFLS0Zg9Yl31fgf"

BATCH = BatchJson(
    id=BATCH_ID,
    task="anonymize",
    state="waiting",
    total=2,
    done=0,
    failed=0,
    created="2026-11-29T02:34:15Z",
    expires="2026-11-30T02:34:15Z",
)
BATCH_FILE = BatchFileJson(name="photo.jpg", state="done", faces=1, cover=1)
BATCH_STATUS = BatchStatusJson(
    id=BATCH_ID,
    task="anonymize",
    state="done",
    total=2,
    done=1,
    failed=1,
    created="2026-11-29T02:34:15Z",
    expires="2026-11-30T02:34:15Z",
    files=[
        BatchFileJson(name="photo.jpg", state="done", faces=1),
        BatchFileJson(
            name="clip.gif",
            state="failed",
            error=f"GIF is not accepted; send the photo as {ACCEPTED}.",
            code="unsupported_type",
        ),
    ],
)
BATCH_STORAGE = BatchStorageJson(1_123_028, 31_259_972_789, 31_258_849_761)

EVENTS = f"""retry: 2000

event: progress
data: {json.dumps(as_json_types(BATCH))}

event: end
id: end
data: {json.dumps(as_json_types(replace(BATCH, state="done", done=1, failed=1)))}

"""

# Without the events of most tiles; a line with a colon in front is a comment.
ENHANCE_EVENTS = f"""event: progress
data: {json.dumps({"done": 0, "tiles": 24})}

event: progress
data: {json.dumps({"done": 1, "tiles": 24})}

: and so on

event: progress
data: {json.dumps({"done": 24, "tiles": 24})}

event: end
data: {json.dumps(as_json_types(ENHANCED))}

"""

METRICS = """# HELP visage_requests_total Responses by route and status.
# TYPE visage_requests_total counter
visage_requests_total{route="/predict",status="200"} 17.0
"""
