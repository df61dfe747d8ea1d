"""OpenCV, compiled twice: for any x86-64 processor, and for those with AVX-512. What fits this machine becomes `cv2`.

In a wheel this is `cv2/__init__.py`, beside a folder for each of the two (docker/wheel.py).
"""

import importlib.util
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

# What the compiler took for granted, as Linux names it: OpenCV's AVX512_SKX (Skylake's servers, Ice Lake, Zen 4 and
# later). A processor that lacks one of them would end the process.
_AVX512 = {"avx2", "fma", "f16c", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def _abilities() -> set[str]:
    """What the first processor can do; nothing where Linux does not tell."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    return next((set(line.split()) for line in told.splitlines() if line.startswith("flags")), set())


_file = Path(__file__).with_name("avx512" if _abilities() >= _AVX512 else "any") / "cv2.abi3.so"
_loader = ExtensionFileLoader("cv2", str(_file))
_spec = importlib.util.spec_from_loader("cv2", _loader)
assert _spec is not None
# In the place of this module, before its own code looks for it there.
sys.modules["cv2"] = importlib.util.module_from_spec(_spec)
_loader.exec_module(sys.modules["cv2"])
