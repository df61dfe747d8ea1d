"""ICC profiles for tests."""

import struct

from tests.support.paths import ROOT

_FOLDER = ROOT / "tests" / "images" / "profiles"

NAMES = sorted(path.stem for path in _FOLDER.glob("*.icc"))


def profile(name: str) -> bytes:
    """A real profile of `tests/images/profiles`."""
    return (_FOLDER / f"{name}.icc").read_bytes()


def grey_profile(gamma: float) -> bytes:
    """A profile of a grey display with this gamma, by hand (ICC.1:2001-04, 6.3.1)."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)  # D50, in 1/65536
    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    tags = struct.pack(">I4sII4sII", 2, b"wtpt", 156, len(white), b"kTRC", 156 + len(white), len(curve))
    size = 128 + len(tags) + len(white) + len(curve)
    head = struct.pack(">I4sI4s4s4s12x4s", size, b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"acsp")
    return head.ljust(68, b"\0") + white[8:] + bytes(48) + tags + white + curve
