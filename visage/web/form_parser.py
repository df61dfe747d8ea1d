"""Forms and JSON as fields and files. `multipart` parses a form in a tenth of the time that werkzeug takes."""

import math
from collections.abc import Iterable
from io import BytesIO
from typing import IO

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from visage.images.headers import is_image
from visage.web.json_body import Fields, Files, parse_json

# Names of the field with the photo.
PHOTO_FIELDS = ("image", "file")

# Types of bodies with fields.
FORM_TYPES = frozenset({"multipart/form-data", "application/json"})

# Bytes per read of a body.
CHUNK = 2**18


class PhotoFormParser(FormDataParser):
    """Keeps every part in memory. Photos are never written to the disk, not even to a temporary file."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,  # noqa: ARG002
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], Fields, Files]:
        """Return the fields and files of a form or of JSON; none of other bodies, which are left unread.

        A multipart body that does not match its headers has none either.

        Raises:
            RequestEntityTooLarge: the form has too many parts, or a field is too long.
            RequestError: the JSON is invalid.
        """
        if mimetype == "application/json":
            return stream, *parse_json(stream.read(), PHOTO_FIELDS)
        if mimetype != "multipart/form-data":
            return stream, Fields(), Files()
        try:
            boundary, max_parts = (options or {}).get("boundary", ""), self.max_form_parts or math.inf
            # Latin-1 decodes any byte, so a file name in an unknown encoding does not fail the request.
            with PushMultipartParser(boundary, max_segment_count=max_parts, header_charset="latin-1") as parser:
                form = self._collect(parser.parse_blocking(stream.read, CHUNK))
        except ParserLimitReached:
            raise RequestEntityTooLarge from None
        except MultipartError:
            return stream, Fields(), Files()
        return stream, *form

    def _collect(self, events: Iterable[MultipartSegment | bytes | None]) -> tuple[Fields, Files]:
        fields, files = Fields(), Files()
        part: MultipartSegment | None = None
        chunks: list[bytes] = []
        for event in events:
            if isinstance(event, MultipartSegment):
                part, chunks, name = event, [], file_name(event)
            elif part is None:
                continue
            elif event:
                chunks.append(event)
                # The size of files is limited by that of the body alone.
                if name is None and part.bytes_received > (self.max_form_memory_size or math.inf):
                    if not _is_unnamed_photo(part, b"".join(chunks)):
                        raise RequestEntityTooLarge
                    name = ""
            elif name is None and not _is_unnamed_photo(part, content := b"".join(chunks)):
                fields.add(field_text(part.name), content.decode(errors="replace"))
            else:
                files.add(field_text(part.name), FileStorage(BytesIO(b"".join(chunks)), name or "", part.name))
        return fields, files


def _is_unnamed_photo(part: MultipartSegment, content: bytes) -> bool:
    """Whether a part without a file name is a photo by its type or its first bytes: some clients leave the name out."""
    return part.name in PHOTO_FIELDS and ((part.content_type or "").startswith("image/") or is_image(content))


def file_name(part: MultipartSegment) -> str | None:
    """Return the file name of a part, None for a field. Some clients send only the form of RFC 5987, `filename*`."""
    if part.filename is not None:
        return field_text(part.filename)
    return parse_options_header(part.header("Content-Disposition"))[1].get("filename")


def field_text(latin: str) -> str:
    """Decode a header value as UTF-8, which clients send; invalid bytes become replacement characters."""
    return latin.encode("latin-1").decode(errors="replace")
