"""The formats of responses."""

from enum import Enum


class Format(Enum):
    """The formats of an analysis and their media types."""

    JSON = "json"
    JPEG = "jpeg"
    BOTH = "both"

    @property
    def media_type(self) -> str:
        return {"json": "application/json", "jpeg": "image/jpeg", "both": "multipart/mixed"}[self.value]


class PictureFormat(Enum):
    """The formats of a changed picture: the file itself, or JSON with the file as base64.

    `EVENTS`, of enhanced pictures only, is their progress as events, of which the last has the JSON.
    """

    PICTURE = "picture"
    JSON = "json"
    EVENTS = "events"
