"""A file of a model pack: its entry in the manifest, and its verified content."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from visage.errors import PackError
from visage.packs.manifest import ManifestTable


@dataclass(frozen=True)
class PackFile:
    """A file of a pack, with its checksum.

    `algorithm` is `sha256`, or `git_blob` (the SHA-1 of git's blob object) if only that is published. `url`, `size`
    (bytes) and `licence` (in words) are set only for packs that can be downloaded.
    """

    path: Path
    algorithm: str
    checksum: str
    url: str | None = None
    size: int | None = None
    licence: str = ""

    def digest(self, content: bytes) -> str:
        """The checksum of `content` with this file's algorithm, in hexadecimal."""
        if self.algorithm == "git_blob":
            return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        return hashlib.sha256(content).hexdigest()

    def read(self) -> bytes:
        """Read the content and verify its checksum.

        Raises:
            PackError: the file is missing, unreadable, truncated or altered. The message says which, what was expected
                and which command repairs it.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            raise PackError(f"{self.path} is missing; expected {self._expected()}. {self._remedy()}") from None
        except OSError as error:
            raise PackError(f"{self.path} cannot be read ({error.strerror}). {self._remedy()}") from None
        if self.size is not None and len(content) < self.size:
            raise PackError(f"{self.path} is cut short: {len(content):,} of {self.size:,} bytes. {self._remedy()}")
        found = self.digest(content)
        if found != self.checksum:
            raise PackError(
                f"{self.path} is altered: {self.algorithm} {found}; expected {self._expected()}. {self._remedy()}"
            )
        return content

    def _expected(self) -> str:
        size = f"{self.size:,} bytes with " if self.size is not None else ""
        return f"{size}{self.algorithm} {self.checksum}"

    def _remedy(self) -> str:
        name = self.path.parent.name
        if self.url:
            return f"Run: visage models fetch {name}"
        return f"Copy it again from where the pack came from, then run: visage models verify {self.path.parent}"


def pack_file(role: ManifestTable, key: str, checksum_key: str, source_key: str) -> PackFile:
    """Read the entry of a file from the table of a net, by its keys.

    Raises:
        PackError: a key is missing or has an invalid value.
    """
    name = role.text(key)
    if not is_plain_name(name):
        raise role.fault(key, "a file name without a folder")
    source = role.table(source_key, {})
    sha256 = role.text(checksum_key, "") or source.text("sha256", "")
    git_blob = source.text("git_blob", "")
    if not sha256 and not git_blob:
        raise role.fault(checksum_key, "the SHA-256 of the file")
    return PackFile(
        path=role.manifest.parent / name,
        algorithm="sha256" if sha256 else "git_blob",
        checksum=(sha256 or git_blob).lower(),
        url=source.text("url", "") or None,
        size=source.integer("size") if "size" in source.content else None,
        licence=source.text("licence", ""),
    )


def is_plain_name(name: str) -> bool:
    """Whether `name` is a file name without a folder."""
    return Path(name).name == name and name != ".."
