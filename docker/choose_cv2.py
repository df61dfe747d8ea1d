"""Select the OpenCV build that fits this machine: for any x86-64 processor, or for AVX-512.

In the wheel this file is `cv2/__init__.py`, beside one folder per build (docker/wheel.py).
"""

import importlib.util
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

# The instruction sets of OpenCV's AVX512_SKX (Skylake-SP, Ice Lake, Zen 4 and later), in Linux's names. Without one of
# them the process would die of an illegal instruction.
_AVX512 = {"avx2", "fma", "f16c", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def _cpu_flags() -> set[str]:
    """The flags of the first processor in /proc/cpuinfo; empty on other systems than Linux."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    return next((set(line.split()) for line in cpuinfo.splitlines() if line.startswith("flags")), set())


_file = Path(__file__).with_name("avx512" if _cpu_flags() >= _AVX512 else "any") / "cv2.abi3.so"
_loader = ExtensionFileLoader("cv2", str(_file))
_spec = importlib.util.spec_from_loader("cv2", _loader)
assert _spec is not None
# Replace this module before the extension's initialization looks up `cv2`.
sys.modules["cv2"] = importlib.util.module_from_spec(_spec)
_loader.exec_module(sys.modules["cv2"])
