"""The result cache: analyses by everything that determines them (photo, options, nets, JPEG quality, versions).

A stored result is JSON and a JPEG, with a checksum. Nothing is unpickled: a client that can write to a shared Redis
cannot run code here.
"""

import hashlib
import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

import cv2

from visage import __version__
from visage.faces.analyzer import AnalyzeOptions
from visage.faces.face import Face, Landmarks
from visage.faces.results import Analysis
from visage.images.boxes import Box
from visage.packs.enhance_spec import EnhanceSpec
from visage.packs.pack import Pack
from visage.runtime.cache_stores import Store, open_store
from visage.settings import Settings

# Increase it whenever the stored format, or the result for a photo, changes.
FORMAT = 2

# Pillow converts colours and decodes TIFF and AVIF, pi-heif decodes HEIC.
_OPTIONAL_DECODERS = ("pillow", "pi-heif")


class ResultCache:
    """Analyses in `store`, for one pack and one JPEG quality of annotated images.

    `enhance_spec` is the super-resolution net that enlarges small faces, which may be of another pack.
    """

    def __init__(self, store: Store, pack: Pack, enhance_spec: EnhanceSpec, jpeg_quality: int) -> None:
        self._store = store
        # The part of the key that all photos share. It contains the whole manifest: the checksums of the files, and
        # values that can change without a new version. Versions of OpenCV and of the optional decoders decode, convert
        # colours and round differently.
        self._common = hashlib.sha256(
            _key_json(
                {
                    "format": FORMAT,
                    "visage": __version__,
                    "opencv": cv2.__version__,
                    "decoders": {package: _installed_version(package) for package in _OPTIONAL_DECODERS},
                    "pack": asdict(pack),
                    "enhance": asdict(enhance_spec),
                    "jpeg_quality": jpeg_quality,
                }
            )
        )

    def key(self, photo: bytes, options: AnalyzeOptions, *, annotated: bool) -> str:
        """The key of the result for the encoded `photo`: a SHA-256 in hexadecimal."""
        digest = self._common.copy()
        digest.update(_key_json({"options": asdict(options), "annotated": annotated}))
        # JSON contains no zero byte, so no photo can continue the JSON before it.
        digest.update(b"\0")
        digest.update(photo)
        return digest.hexdigest()

    def get(self, key: str) -> Analysis | None:
        """The stored analysis, without its timings. None if there is none or if it is damaged."""
        stored = self._store.get(key)
        return None if stored is None else _parse(key, stored)

    def put(self, key: str, analysis: Analysis) -> None:
        """Store `analysis`, if the store accepts its size."""
        self._store.set(key, _serialize(key, analysis))


def open_cache(settings: Settings, pack: Pack, enhance_spec: EnhanceSpec) -> ResultCache | None:
    """Open the cache that `settings` select, or return None if it is off.

    Raises:
        SettingsError: a package that the cache needs is not installed, or the Redis URL is invalid.
    """
    store = open_store(settings)
    return None if store is None else ResultCache(store, pack, enhance_spec, settings.jpeg_quality)


def _installed_version(package: str) -> str | None:
    # Takes a tenth of a second, and is needed with a cache only.
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _key_json(value: dict[str, Any]) -> bytes:
    """JSON in which a path is its file name, so that the key does not depend on the folder of the pack."""

    def plain(part: object) -> Any:
        if isinstance(part, Path):
            return part.name
        if isinstance(part, Enum):
            return part.value
        # A key without this part would match different photos.
        raise TypeError(f"{part!r} cannot be part of a key")

    return json.dumps(value, default=plain).encode()


def _serialize(key: str, analysis: Analysis) -> bytes:
    """The checksum, the length of the JSON, the JSON and the annotated image, in this order."""
    fields = asdict(analysis)
    image = fields.pop("annotated") or b""
    del fields["seconds"], fields["cached"]
    text = json.dumps(fields).encode()
    content = b"".join((len(text).to_bytes(4), text, image))
    return _checksum(key, content) + content


def _parse(key: str, stored: bytes) -> Analysis | None:
    """The analysis in `stored`. None if the bytes were altered, cut short, or stored under another key."""
    size = hashlib.sha256().digest_size
    checksum, content = stored[:size], stored[size:]
    if checksum != _checksum(key, content):
        return None
    # A correct checksum proves that `_serialize` of this version wrote the content, because it includes the key.
    end = 4 + int.from_bytes(content[:4])
    fields = json.loads(content[4:end])
    faces = tuple(_parse_face(face) for face in fields.pop("faces"))
    return Analysis(**fields, faces=faces, annotated=content[end:] or None, seconds={}, cached=True)


def _parse_face(fields: dict[str, Any]) -> Face:
    landmarks = fields["landmarks"]
    return Face(
        **fields
        | {
            "box": Box(**fields["box"]),
            "age_range": tuple(fields["age_range"]),
            "landmarks": landmarks and Landmarks(**{name: tuple(point) for name, point in landmarks.items()}),
        }
    )


def _checksum(key: str, content: bytes) -> bytes:
    digest = hashlib.sha256(key.encode())
    digest.update(content)
    return digest.digest()
