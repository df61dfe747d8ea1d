"""No known vulnerability of a bundled libpng is in what Visage calls (docs/security.md)."""

import platform
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.paths import ROOT

VULNERABLE = ("png_image_", "png_set_quantize", "png_free_data", "png_set_PLTE", "png_set_tRNS", "png_set_hIST")

REQUIREMENTS = [
    Requirement(line)
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.startswith("opencv-python-headless")
]


def opencv_module() -> Path:
    """OpenCV's module, if it uses libpng as a shared library: then it names the functions that it calls."""
    package = find_spec("cv2")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent
    if not list(folder.parent.glob("opencv_python_headless.libs/libpng*")):
        pytest.skip("needs an OpenCV wheel with a shared libpng")
    (module,) = folder.glob("cv2*.so")
    return module


def test_opencv_calls_libpng_by_name() -> None:
    assert b"png_set_palette_to_rgb\0" in opencv_module().read_bytes()


@pytest.mark.parametrize("function", VULNERABLE)
def test_opencv_calls_no_function_with_a_known_vulnerability(function: str) -> None:
    end = b"" if function.endswith("_") else rb"\0"

    assert re.search(rb"\0" + function.encode() + end, opencv_module().read_bytes()) is None


@pytest.mark.parametrize(
    ("machine", "python", "expected"),
    [
        ("x86_64", "3.13", "4.12.0.88"),
        ("x86_64", "3.14", "4.14.0.94"),
        # Its libpng 1.6.48 has CVE-2026-33636, which concerns ARM only.
        ("aarch64", "3.11", "4.14.0.94"),
        ("arm64", "3.13", "4.14.0.94"),
    ],
)
def test_each_platform_has_one_pinned_opencv(machine: str, python: str, expected: str) -> None:
    environment = {"platform_machine": machine, "python_version": python}

    pinned = [each for each in REQUIREMENTS if each.marker is None or each.marker.evaluate(environment)]

    assert [str(each.specifier) for each in pinned] == [f"=={expected}"]


@pytest.mark.skipif(platform.machine() == "x86_64", reason="concerns ARM only")
def test_an_opencv_on_arm_has_a_libpng_without_the_vulnerability() -> None:
    assert tuple(map(int, version("opencv-python-headless").split("+")[0].split(".")))[:2] >= (4, 14)
