"""The framing of one request, byte by byte: where its head ends, how long its body is, and whether it is complete.

The module interprets nothing else. Invalid HTTP counts as complete as soon as it is recognized, because gunicorn's
parser reads it next and reports the error.
"""

import re
from typing import BinaryIO

# Longer heads are rejected unparsed, and longer trailers count as complete. gunicorn's own limits for a line and a
# field are lower.
MAX_HEAD_BYTES = 2**16

# For a head in lower case: searching that is much faster than IGNORECASE. Without leading zeros, at most as many digits
# as Python converts to an integer; gunicorn rejects longer numbers too.
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*0{0,99}(\d{1,4000})[ \t]*(?=\r\n)")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")

# The line with a chunk's size and extensions, and the size. RFC 9112, 7.1, leaves these limits to the server.
_MAX_CHUNK_LINE_BYTES, _MAX_CHUNK_BYTES = 4096, 2**62


class RequestFraming:
    """Collects the bytes of one request, in pieces of any size.

    Attributes:
        data: The bytes so far, except those in `body_file`.
        complete: Whether the request can be parsed. Once true, it stays true.
        body_bytes: The known minimum length of the body: its Content-Length, or the sum of the chunk sizes so far.
        body_file: Where the body goes instead of memory.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.complete = False
        self.body_bytes = 0
        self.body_file: BinaryIO | None = None
        self._head_end = 0
        # Whether every HTTP parser finds the same body length.
        self._length_is_unambiguous = False
        # Offset of the CRLF before the next chunk's line: the last one of the head, then the one after each chunk.
        self._chunk_end: int | None = None

    @property
    def has_head(self) -> bool:
        return self._head_end > 0

    @property
    def head_too_long(self) -> bool:
        return not self.has_head and len(self.data) > MAX_HEAD_BYTES

    @property
    def head(self) -> bytes:
        """Request line and headers, as far as they have arrived."""
        return bytes(self.data[: self._head_end or None])

    def header(self, name: bytes) -> bytes:
        """The value of the first header with this lower-case `name`, or `b""` if none has arrived."""
        head = self.head
        before, found, _ = head.lower().partition(b"\r\n" + name + b":")
        value, ended, _ = head[len(before) + len(found) :].partition(b"\r\n")
        return value.strip(b" \t") if found and ended else b""

    @property
    def is_unambiguous(self) -> bool:
        """Whether the data is exactly one complete request, and every HTTP parser finds the same end."""
        return self._length_is_unambiguous and len(self.data) == self._head_end + self.body_bytes

    @property
    def expects_100_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body (RFC 9110, 10.1.1)."""
        return not self.complete and self.header(b"expect").lower() == b"100-continue"

    def feed(self, data: bytes) -> None:
        """Add the next bytes. Pipelined bytes of a next request may follow.

        Raises:
            OSError: the body's file cannot be written.
        """
        if self.body_file and not self.complete:
            data = self._write_body(self.body_file, data)
        before = len(self.data)
        self.data += data
        if self.complete:
            return
        if not self.has_head:
            self._find_head(max(0, before - 3))
        if self._chunk_end is not None:
            self._follow_chunks(self._chunk_end)
        elif self.has_head and not self.body_file:
            self.complete = len(self.data) >= self._head_end + self.body_bytes

    @property
    def chunked(self) -> bool:
        return self._chunk_end is not None

    def write_body_to(self, file: BinaryIO) -> None:
        """Write the body to `file`, including what has arrived of it. The head must have told its length.

        Raises:
            OSError: the file cannot be written.
        """
        arrived = bytes(self.data[self._head_end :])
        del self.data[self._head_end :]
        self.body_file, self.complete = file, False
        self.feed(arrived)

    def take_parts(self) -> tuple[bytes, bytes, bytes]:
        """Return head, body and pipelined bytes, and empty `data`.

        The body is empty if it is in `body_file`. A chunked body, and all of invalid HTTP, is in the third part.
        """
        body_end = self._head_end + (0 if self.chunked or self.body_file else self.body_bytes)
        with memoryview(self.data) as view:
            parts = bytes(view[: self._head_end]), bytes(view[self._head_end : body_end]), bytes(view[body_end:])
        self.data = bytearray()
        return parts

    def _write_body(self, file: BinaryIO, data: bytes) -> bytes:
        """Write the bytes that belong to the body, and return the others."""
        missing = self.body_bytes - file.tell()
        file.write(data[:missing])
        # A full disk must fail here, while the client can still get an error.
        file.flush()
        self.complete = len(data) >= missing
        return data[missing:]

    def _find_head(self, start: int) -> None:
        end = self.data.find(b"\r\n\r\n", start)
        if _BARE_LINE_FEED.search(self.data, start, end if end >= 0 else len(self.data)):
            self.complete = True
        elif end >= 0:
            self._head_end = end + 4
            head = self.head.lower()
            lengths = _CONTENT_LENGTH.findall(head)
            if b"\r\ntransfer-encoding:" in head:
                self._chunk_end = None if lengths else self._head_end - 2
            elif len(lengths) == 1:
                self.body_bytes = int(lengths[0])
            framing_headers = head.count(b"content-length") + head.count(b"transfer-encoding")
            self._length_is_unambiguous = framing_headers == len(lengths) <= 1

    def _follow_chunks(self, chunk_end: int) -> None:
        """Follow the chunks that have arrived (RFC 9112, 7.1)."""
        while not self.complete and chunk_end < len(self.data):
            line = chunk_end + 2
            line_end = self.data.find(b"\r\n", line, line + _MAX_CHUNK_LINE_BYTES)
            if not b"\r\n".startswith(self.data[chunk_end:line]):
                self.complete = True
            elif line_end < 0:
                self.complete = len(self.data) >= line + _MAX_CHUNK_LINE_BYTES
                break
            elif (size := _chunk_size(self.data[line:line_end])) == 0:
                # Trailers may follow. An empty line ends them.
                limit = line_end + MAX_HEAD_BYTES
                self.complete = len(self.data) >= limit or self.data.find(b"\r\n\r\n", line_end) >= 0
                break
            elif 0 < size < _MAX_CHUNK_BYTES:
                self.body_bytes += size
                chunk_end = line_end + 2 + size
            else:
                self.complete = True
        self._chunk_end = chunk_end


def _chunk_size(line: bytearray) -> int:
    """The size in a chunk's line, which may have extensions; -1 if it is not a number."""
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        return -1
