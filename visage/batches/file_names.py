"""Turn file names from clients into names that are safe in a page, a table, and an archive on any system."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

_DRIVE = re.compile(r"^[/ ]*[A-Za-z]:")

# Characters that a terminal or a page interprets instead of showing: control characters, bidirectional marks (they make
# "gpj.exe" look like "exe.jpg"), line separators. Also code points that UTF-8 cannot encode.
_INVISIBLE = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")

# Reserved characters and devices: Microsoft, "Naming Files, Paths, and Namespaces". A colon separates a stream's name.
_RESERVED = re.compile(r'[<>:"|?*]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)

# Bytes of UTF-8 in a part of a path. File systems allow 255; the rest is for a number.
_MAX_PART_BYTES = 200
_MAX_SUFFIX_BYTES = 20

# The last parts of a longer path are kept.
_MAX_PARTS = 10


def renamed(name: str, suffix: str, others: Sequence[str]) -> str:
    """Return a file name with `suffix`, such as `.jpg`, in place of its own; as it is if its own is one of `others`."""
    path = PurePosixPath(name)
    return name if path.suffix.lower() in others else str(path.with_suffix(suffix))


def safe_names(names: Iterable[str]) -> Iterator[str]:
    """Yield a safe, unique name for each of `names`.

    A safe name is a relative path with slashes: no drive, no "..", no control character, no character or device that
    Windows reserves, no dot or space at the end of a part, at most 10 parts of 200 bytes of UTF-8 each, in Unicode's
    normalization form NFC. If a name occurred before, in upper or lower case, it gets a number: "a.jpg", "a (2).jpg".
    An empty name becomes "unnamed". `names` is read one by one, so that it can be a generator that reads files.
    """
    taken: set[str] = set()
    # The last number per name. Without it, 10,000 equal names would take quadratic time.
    last_numbers: dict[str, int] = {}
    for name in names:
        safe = _safe(name)
        path, key = PurePosixPath(safe), safe.casefold()
        number = last_numbers.get(key, 1)
        while safe.casefold() in taken:
            number += 1
            safe = str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
        last_numbers[key] = number
        taken.add(safe.casefold())
        yield safe


def _safe(name: str) -> str:
    relative = _DRIVE.sub("", _INVISIBLE.sub("", name).replace("\\", "/"))
    parts = (_safe_part(part) for part in relative.split("/"))
    return "/".join([part for part in parts if part][-_MAX_PARTS:]) or "unnamed"


def _safe_part(part: str) -> str:
    """Return a safe part of a path, empty for parts such as ".."."""
    part = _RESERVED.sub("_", part).strip(" ").rstrip(". ")
    part = f"_{part}" if _DEVICE.match(part) else part
    # Normalization takes quadratic time for many accents, so the part is cut first. It can also make a part longer, so
    # the part is cut again.
    return _cut(unicodedata.normalize("NFC", _cut(part)))


def _cut(part: str) -> str:
    if len(part.encode()) <= _MAX_PART_BYTES:
        return part
    stem, dot, suffix = part.rpartition(".")
    if not stem or len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        stem, dot, suffix = part, "", ""
    room = _MAX_PART_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + suffix
