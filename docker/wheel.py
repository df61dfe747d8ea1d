"""Put a compiled `cv2` module into a wheel: `python docker/wheel.py MODULE DIRECTORY LICENCE… --requirement FILE`.

With `--avx512 MODULE` it has a second one, for processors that can do more, and docker/choose_cv2.py, which chooses.
With `--stubs FOLDER` it has the types that OpenCV has written down of it, for type checkers.

OpenCV's own packaging wants modules that are not built here. The wheel has the name of that on PyPI, so that what asks
for that gets this, and a local version (PEP 440), so that the two are told apart.
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

# Whoever unpacks it gets the same bytes each time: the earliest date that a ZIP can have.
DATE = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path, help="the compiled module, such as cv2.abi3.so")
    parser.add_argument("directory", type=Path, help="where the wheel goes")
    parser.add_argument("licences", type=Path, nargs="*", help="texts that must go with it")
    parser.add_argument("--avx512", type=Path, help="the module for processors with AVX-512")
    parser.add_argument("--stubs", type=Path, help="the folder with types of the module")
    parser.add_argument("--requirement", type=Path, required=True, help="file that pins the version of the source")
    arguments = parser.parse_args()
    version = pinned(arguments.requirement.read_text())
    modules = {"any": arguments.module, "avx512": arguments.avx512}
    files = {f"cv2/{name}/{module.name}": module.read_bytes() for name, module in modules.items() if module}
    if len(files) == 1:
        files = {arguments.module.name: arguments.module.read_bytes()}
    else:
        files["cv2/__init__.py"] = Path(__file__).with_name("choose_cv2.py").read_bytes()
    files |= stubs(arguments.stubs) if arguments.stubs else {}
    print(write_wheel(files, arguments.directory, arguments.licences, version))


def stubs(folder: Path) -> dict[str, bytes]:
    """A package of types alone (PEP 561), which fits a module without a folder too; all of its files are `.pyi`."""
    files = {path: path.relative_to(folder) for path in sorted(folder.rglob("*.py*")) if path.name != "py.typed"}
    if not files:
        raise SystemExit(f"There are no types in {folder}.")
    return {f"cv2-stubs/{name.with_suffix('.pyi')}": path.read_bytes() for path, name in files.items()}


def pinned(requirements: str) -> str:
    """The version of OpenCV that a requirements file pins."""
    (version,) = re.findall(rf"^{NAME}==([0-9.]+)", requirements, re.MULTILINE)
    return str(version)


def write_wheel(contents: dict[str, bytes], directory: Path, licences: list[Path], version: str) -> Path:
    """Write a wheel of `contents` (the "Binary distribution format" of packaging.python.org); return where it is."""
    distribution = f"{NAME.replace('-', '_')}-{version}+{LOCAL}"
    # The module uses Python's stable interface, since 3.7; it is for the C library and processor of this machine.
    tag = f"cp37-abi3-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
    facts = f"{distribution}.dist-info"
    files = {
        **contents,
        f"{facts}/METADATA": _metadata(version, licences).encode(),
        f"{facts}/WHEEL": f"Wheel-Version: 1.0\nGenerator: visage\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
        **{f"{facts}/licenses/{licence.name}": licence.read_bytes() for licence in licences},
    }
    record = [f"{name},{_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{facts}/RECORD"] = "\n".join([*record, f"{facts}/RECORD,,", ""]).encode()
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
        "Summary: OpenCV's core, imgproc, imgcodecs (JPEG, PNG, WebP, BMP) and dnn, as Visage uses them.",
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
