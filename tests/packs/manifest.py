"""A pack named `tiny`: its manifest and the contents of its files."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from visage.packs.download import CHUNK_BYTES
from visage.packs.pack import Pack, read_pack

FACE_NET = bytes(range(256)) * (3 * CHUNK_BYTES // 256)
HELLO = b"hello\n"

# What `printf 'hello\n' | git hash-object --stdin` prints.
HELLO_GIT_BLOB = "ce013625030ba8dba906f756967f9e9ca394464a"

CONTENTS = {
    "face.prototxt": b"layers of the face net\n",
    "face.net": FACE_NET,
    "gender.prototxt": b"layers of the gender net\n",
    "gender.net": b"weights of the gender net\n",
    "age.prototxt": b"layers of the age net\n",
    "age.net": HELLO,
}

ROLES = {
    "face": "min_confidence = 0.5",
    "gender": 'crop_scale = 1.5\nlabels = ["Male", "Female"]',
    "age": 'crop_scale = 1.5\nlabels = ["(0-2)", "(4-6)"]\nranges = [[0, 2], [4, 6]]',
}

Fetch = Callable[..., tuple[Path, ...]]


def write_pack(folder: Path, base: str | None, sizes: bool = True) -> Pack:
    """Write only the manifest of a pack named `tiny`. Without `base`, its files have no URLs."""
    folder.mkdir(parents=True)
    folder.joinpath("pack.toml").write_text(
        'name = "tiny"\nversion = "1"\n'
        + "".join(
            f"[{role}]\n"
            f'prototxt = "{role}.prototxt"\nweights = "{role}.net"\n'
            "input = [1, 1]\nmean = [0.0, 0.0, 0.0]\nscale = 1.0\nswap_rb = false\n"
            f"{rest}\n"
            f"[{role}.prototxt_source]\n{source(f'{role}.prototxt', base, sizes)}"
            f"[{role}.source]\n{source(f'{role}.net', base, sizes)}"
            for role, rest in ROLES.items()
        ),
        encoding="utf-8",
    )
    return read_pack(folder)


def source(name: str, base: str | None, sizes: bool) -> str:
    content = CONTENTS[name]
    checksum = f'git_blob = "{HELLO_GIT_BLOB}"\n' if content == HELLO else f'sha256 = "{sha256(content)}"\n'
    url = f'url = "{base}/{name}"\n' if base else ""
    return checksum + url + (f"size = {len(content)}\n" if sizes else "")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fill(folder: Path, *, without: str = "") -> None:
    """Write every file of the tiny pack into `folder`, except one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in CONTENTS.items():
        if name != without:
            folder.joinpath(name).write_bytes(content)
