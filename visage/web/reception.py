"""One request as it comes in, byte by byte: where its head ends, how long it will be, whether it is all there.

Nothing is interpreted beyond that. What is not HTTP counts as complete as soon as that shows: gunicorn's parser, which
reads it next, knows what to say about it.
"""

import re

# Longer heads are refused unread. gunicorn's own limits of a line and of a field are lower.
MOST_HEAD_BYTES = 2**16

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*(?=\r\n)", re.IGNORECASE)
_CODED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_GO_AHEAD = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_BARE_LINE_END = re.compile(rb"(?<!\r)\n")

# A chunk's length and extensions, and the length itself: RFC 9112, 7.1 leaves the limits to the reader.
_MOST_CHUNK_LINE_BYTES, _MOST_CHUNK_BYTES = 4096, 2**62


class Reception:
    """Collects the bytes of one request.

    `complete` tells that it can be parsed. `body_bytes` is how long its body is at least, as far as is known: what the
    head says, or the chunks announced so far.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.complete = False
        self.body_bytes = 0
        self._head_end = 0
        self._next_chunk: int | None = None

    @property
    def has_head(self) -> bool:
        return self._head_end > 0

    @property
    def head_too_long(self) -> bool:
        return not self.has_head and len(self.data) > MOST_HEAD_BYTES

    @property
    def waits_for_go_ahead(self) -> bool:
        """Whether the client sends no body before it is told to (RFC 9110, 10.1.1)."""
        return not self.complete and bool(_GO_AHEAD.search(self.data, 0, self._head_end))

    def feed(self, data: bytes) -> None:
        """Take the next bytes; those of a next request may follow the last of this one."""
        before = len(self.data)
        self.data += data
        if not self.has_head:
            self._find_head(max(0, before - 3))
        if self._next_chunk is not None:
            self._follow_chunks()
        elif self.has_head:
            self.complete = len(self.data) >= self._head_end + self.body_bytes

    def parts(self) -> list[bytes]:
        """The head, and what has come behind it; neither is empty."""
        with memoryview(self.data) as view:
            parts = bytes(view[: self._head_end]), bytes(view[self._head_end :])
        return [part for part in parts if part]

    def _find_head(self, start: int) -> None:
        end = self.data.find(b"\r\n\r\n", start)
        if end < 0:
            self.complete = bool(_BARE_LINE_END.search(self.data))
            return
        self._head_end = end + 4
        lengths = _LENGTH.findall(self.data, 0, self._head_end)
        coded = _CODED.search(self.data, 0, self._head_end)
        if coded and not lengths:
            self._next_chunk = self._head_end
        elif len(lengths) == 1 and not coded:
            self.body_bytes = int(lengths[0])

    def _follow_chunks(self) -> None:
        """Go from chunk to chunk, as far as they have come (RFC 9112, 7.1)."""
        while not self.complete and self._next_chunk is not None and self._next_chunk < len(self.data):
            line_end = self.data.find(b"\r\n", self._next_chunk)
            if line_end < 0:
                self.complete = len(self.data) - self._next_chunk > _MOST_CHUNK_LINE_BYTES
                return
            try:
                size = int(self.data[self._next_chunk : line_end].partition(b";")[0], 16)
            except ValueError:
                size = -1
            after = bytes(self.data[line_end + 2 + size : line_end + 4 + size])
            if size == 0:
                # Trailers may follow; an empty line ends them.
                self.complete = self.data.find(b"\r\n\r\n", line_end) >= 0
                return
            if not 0 < size < _MOST_CHUNK_BYTES or after not in {b"", b"\r", b"\r\n"}:
                self.complete = True
            else:
                self.body_bytes += size
                self._next_chunk = line_end + 2 + size + 2
