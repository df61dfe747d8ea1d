"""Package a compiled `cv2` module as a wheel: `python docker/wheel.py MODULE DIRECTORY LICENCE… --requirement FILE`.

OpenCV's own packaging needs modules that we do not build. The wheel has the same name as PyPI's, so that it satisfies
the same requirement, and a local version label (PEP 440), which distinguishes the two.
"""

import argparse
import base64
import hashlib
import re
import sysconfig
import zipfile
from pathlib import Path

NAME = "opencv-python-headless"
LOCAL = "visage"

# A fixed date makes builds reproducible. This is the earliest one that a ZIP can hold.
DATE = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path, help="the compiled module, such as cv2.abi3.so")
    parser.add_argument("directory", type=Path, help="the output directory")
    parser.add_argument("licences", type=Path, nargs="*", help="licence files to include")
    parser.add_argument("--requirement", type=Path, required=True, help="the file that pins the source version")
    arguments = parser.parse_args()
    version = pinned_version(arguments.requirement.read_text())
    print(write_wheel(arguments.module, arguments.directory, arguments.licences, version))


def pinned_version(requirements: str) -> str:
    """The OpenCV version that the text of a requirements file pins."""
    (version,) = re.findall(rf"^{NAME}==([0-9.]+)", requirements, re.MULTILINE)
    return str(version)


def write_wheel(module: Path, directory: Path, licences: list[Path], version: str) -> Path:
    """Write a wheel and return its path.

    The format is the "Binary distribution format" of packaging.python.org.
    """
    distribution = f"{NAME.replace('-', '_')}-{version}+{LOCAL}"
    # The module uses the stable ABI of Python 3.7, and this machine's C library and architecture.
    tag = f"cp37-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
    dist_info = f"{distribution}.dist-info"
    files = {
        module.name: module.read_bytes(),
        f"{dist_info}/METADATA": _metadata(version, licences).encode(),
        f"{dist_info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: visage\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        **{f"{dist_info}/licenses/{licence.name}": licence.read_bytes() for licence in licences},
    }
    record = [f"{name},{_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{dist_info}/RECORD"] = "\n".join([*record, f"{dist_info}/RECORD,,", ""]).encode()
    wheel = directory / f"{distribution}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), content, zipfile.ZIP_DEFLATED)
    return wheel


def _metadata(version: str, licences: list[Path]) -> str:
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {NAME}",
        f"Version: {version}+{LOCAL}",
        "Summary: The parts of OpenCV that Visage uses: core, imgproc, imgcodecs (JPEG, PNG, WebP, BMP) and dnn.",
        "License-Expression: Apache-2.0",
        *(f"License-File: {licence.name}" for licence in licences),
        "Requires-Python: >=3.7",
        "Requires-Dist: numpy>=2",
    ]
    return "\n".join([*lines, ""])


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


if __name__ == "__main__":
    main()
