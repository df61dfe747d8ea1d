"""Names of files as clients give them, made fit for a page, a table and an archive that anybody may unpack."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

_DRIVE = re.compile(r"^[/ ]*[A-Za-z]:")

# What a terminal or a page would obey instead of showing: control characters, marks that turn the direction of writing
# (with them "gpj.exe" reads "exe.jpg"), line separators; and what UTF-8 cannot hold.
_UNSEEN = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")

# Reserved characters and devices: Microsoft, "Naming Files, Paths, and Namespaces". A colon would name a stream.
_RESERVED = re.compile(r'[<>:"|?*]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)

# Bytes of UTF-8 in a part of a path: file systems take 255, and a number or another suffix may be added.
_PART_BYTES = 200
_SUFFIX_BYTES = 20

# Of more parts the last are kept.
_PARTS = 10


def safe_names(names: Iterable[str]) -> Iterator[str]:
    """Yield for each name one that is safe to show and to unpack on any system, each only once.

    A safe name is a relative path with slashes: no drive, no "..", no control character, no character or device that
    Windows reserves, no dot or space at a part's end, at most 10 parts of about 200 bytes of UTF-8 each, in Unicode's
    form NFC. A name that was there before, in whatever case, gets a number: "a.jpg", "a (2).jpg". What has nothing left
    is "unnamed". Names are taken one at a time, so that they may come in while files are being read.
    """
    taken: set[str] = set()
    # Counting goes on where it stopped: of 10,000 equal names each would otherwise try all numbers before its own.
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
    relative = _DRIVE.sub("", _UNSEEN.sub("", name).replace("\\", "/"))
    parts = (_safe_part(part) for part in relative.split("/"))
    return "/".join([part for part in parts if part][-_PARTS:]) or "unnamed"


def _safe_part(part: str) -> str:
    """Empty for a part that only moves about, such as ".."."""
    part = _RESERVED.sub("_", part).strip(" ").rstrip(". ")
    part = f"_{part}" if _DEVICE.match(part) else part
    # Composing takes time with the square of a run of accents, so first it is cut; some letters grow, so then again.
    return _cut(unicodedata.normalize("NFC", _cut(part)))


def _cut(part: str) -> str:
    if len(part.encode()) <= _PART_BYTES:
        return part
    stem, dot, suffix = part.rpartition(".")
    if not stem or len(suffix.encode()) > _SUFFIX_BYTES:
        stem, dot, suffix = part, "", ""
    room = _PART_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + suffix
