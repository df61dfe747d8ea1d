"""ICC profiles for the colours that HEIC and AVIF name by numbers instead of a profile (ITU-T H.273; "nclx")."""

import struct
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Chromaticities x and y of red, green, blue and white, by the number of the primaries (H.273, table 2).
_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
_SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)

# Numbers of the transfer characteristics (H.273, table 3). All others of standard range are shown as sRGB, like those
# of video.
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_PQ, _HLG = 16, 18

# The luminance of white in the standard range, in cd/m2, and the HLG signal of the same white (ITU-R BT.2408, 2.1).
_WHITE, _WHITE_IN_HLG = 203, 0.75

# Gamma of a display for HLG of 1000 cd/m2 (ITU-R BT.2100, table 5).
_HLG_GAMMA = 1.2

# White of the connection space of profiles, D50 (ICC.1:2022, 6.3.4.3), and Bradford's cone responses (annex E).
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

# Numbers in a curve.
_SAMPLES = 4096


@lru_cache(16)
def nclx_profile(primaries: int, transfer: int) -> bytes | None:
    """Return an ICC profile for RGB with these primaries and transfer characteristics; None for sRGB and unknown ones.

    PQ and HLG have a high dynamic range. What is brighter than white in the standard range becomes white.
    """
    is_srgb = transfer not in (*_GAMMAS, _PQ, _HLG)
    if is_srgb and primaries not in _PRIMARIES:
        return None
    *colours, white = (_xyz(each) for each in _PRIMARIES.get(primaries, _SRGB_PRIMARIES))
    columns = np.stack(colours, axis=1)
    columns = columns * np.linalg.solve(columns, white)
    cones = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    adapted = np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ columns
    return _profile(adapted, _curve(transfer))


def _xyz(chromaticity: tuple[float, float]) -> NDArray[np.float64]:
    x, y = chromaticity
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _curve(transfer: int) -> NDArray[np.float64]:
    """Return the light, 0 to 1, of `_SAMPLES` equidistant levels."""
    level: NDArray[np.float64] = np.arange(_SAMPLES) / (_SAMPLES - 1)
    if transfer in _GAMMAS:
        return level ** _GAMMAS[transfer]
    if transfer == _PQ:
        return np.minimum(_pq_light(level) / _WHITE, 1.0)
    if transfer == _HLG:
        white = _hlg_light(np.array([_WHITE_IN_HLG]))
        return np.minimum((_hlg_light(level) / white) ** _HLG_GAMMA, 1.0)
    # IEC 61966-2-1.
    return np.where(level <= 0.04045, level / 12.92, np.power((level + 0.055) / 1.055, 2.4))


def _pq_light(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the luminance in cd/m2 (ITU-R BT.2100, table 4)."""
    root = level ** (32 / 2523)
    light: NDArray[np.float64] = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return 10_000 * light ** (8192 / 1305)


def _hlg_light(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of the scene, 0 to 1 (ITU-R BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12)


def _profile(columns: NDArray[np.float64], curve: NDArray[np.float64]) -> bytes:
    """Return a profile of a display: the XYZ of red, green and blue as columns, and one curve for all (ICC.1:2001)."""
    numbers = np.concatenate(([_D50], columns.T))
    texts = [b"XYZ \0\0\0\0" + np.round(each * 65536).astype(">i4").tobytes() for each in numbers]
    texts.append(b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + np.round(curve * 65535).astype(">u2").tobytes())
    names = (b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    start = 128 + 4 + 12 * len(names)
    starts = [start + 20 * min(index, 4) for index in range(len(names))]
    tags = b"".join(
        struct.pack(">4sII", name, at, len(texts[min(index, 4)]))
        for index, (name, at) in enumerate(zip(names, starts, strict=True))
    )
    size = start + sum(map(len, texts))
    head = struct.pack(">I4sI4s4s4s12x4s", size, b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    head = head.ljust(68, b"\0") + np.round(_D50 * 65536).astype(">i4").tobytes()
    return b"".join((head.ljust(128, b"\0"), struct.pack(">I", len(names)), tags, *texts))
