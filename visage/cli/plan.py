"""Which files are to be anonymized and where each copy goes, settled before the first one is touched."""

import mimetypes
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from visage.cli.files import begins_as_picture, identity, is_unfinished, must_be_ours
from visage.errors import SetupError

# Names of pictures and videos that the tables of Python and of the system may lack: raw files of cameras, and what
# phones make. Whoever passes the copies on must know that these are missing there.
_MORE_PICTURES = re.compile(
    r".*\.(3fr|arw|cr2|cr3|dcr|dng|erf|fff|iiq|kdc|mef|mos|mrw|nef|nrw|orf|pef|raf|raw|rw2|rwl|sr2|srf|srw|x3f"
    r"|avif|bmp|heic|heif|hif|insp|j2k|jfif|jp2|jxl|psd|tga|tiff?|webp"
    r"|3gp|avi|flv|insv|m2ts|m4v|mkv|mov|mts|ogv|webm|wmv)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Copy:
    """A file and where its copy goes: strings, because there may be hundreds of thousands."""

    source: str
    target: str


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    `copies` are to be made, `there` is how many were there already, `left_out` how many files are no pictures.
    `unlisted` are the directories that cannot be listed. `folders` are those that copies lie in, made or to be made.
    """

    copies: tuple[Copy, ...]
    there: int
    left_out: int
    unlisted: tuple[OSError, ...]
    folders: frozenset[Path]


def plan_copies(paths: Sequence[Path], output: Path, *, again: bool) -> Plan:
    """Settle what becomes of `paths`, files and directories, in the directory `output`, which need not exist yet.

    Copies that are there already are left alone, unless `again`.

    Raises:
        SetupError: a copy would take the place of an original or of another copy.
    """
    must_be_ours(output)
    place = identity(output) or identity(_resolved(output))
    sources: dict[str, str] = {}
    unlisted: list[OSError] = []
    left_out = 0
    for path in paths:
        if not os.path.isdir(path):
            _add(sources, str(path), str(output / path.name))
            continue
        if identity(path) == place:
            raise SetupError(f"{output} is the directory of the originals ({path}); choose another with -o.")
        below = output if len(paths) == 1 else output / _own_name(path)
        for found in _walk(path, place):
            if isinstance(found, OSError):
                unlisted.append(found)
            elif _may_be_picture(found):
                _add(sources, found.path, os.path.join(below, found.path[len(str(path)) :].lstrip(os.sep)))
            else:
                left_out += 1
    done = _targets_there(sources)
    copies = tuple(Copy(source, target) for target, source in sources.items() if again or target not in done)
    folders = frozenset(map(Path, {os.path.dirname(target) for target in sources}))
    return Plan(copies, len(sources) - len(copies), left_out, tuple(unlisted), folders)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        # Links that lead in circles: that the directory cannot be made will say so.
        return path


def _own_name(folder: Path) -> str:
    return folder.name if folder.name not in {"", ".."} else folder.resolve().name


def _add(sources: dict[str, str], source: str, target: str) -> None:
    if target in sources:
        raise SetupError(
            f"{sources[target]} and {source} would both become {target}; give them in two runs, each with its own -o."
        )
    sources[target] = source


def _walk(folder: Path, left_alone: tuple[int, int] | None) -> Iterator["os.DirEntry[str] | OSError"]:
    """Everything below `folder` that is no directory, in order; directories that cannot be listed, as their errors.

    Links to directories are not followed, for they may lead in circles. The directory `left_alone` is not entered.
    """
    waiting = [str(folder)]
    while waiting:
        current = waiting.pop()
        if left_alone is not None and identity(current) == left_alone:
            continue
        try:
            with os.scandir(current) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            folders = [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            yield error
            continue
        yield from (entry for entry in found if not entry.is_dir(follow_symlinks=False))
        waiting.extend(reversed(folders))


def _may_be_picture(entry: "os.DirEntry[str]") -> bool:
    """Whether a file is a picture by its name or its content, or cannot be read, so that nobody knows."""
    if is_unfinished(entry.name):
        return False
    try:
        if not entry.is_file():
            # A link that leads nowhere may have led to a photo; pipes and links to directories are none.
            return entry.is_symlink() and not entry.is_dir()
        return _named_as_picture(entry.name) or begins_as_picture(entry.path)
    except OSError:
        return True


def _named_as_picture(name: str) -> bool:
    kind, _ = mimetypes.guess_type(name)
    return (kind or "").startswith(("image/", "video/")) or _MORE_PICTURES.fullmatch(name) is not None


def _targets_there(sources: dict[str, str]) -> set[str]:
    """The targets that are there already.

    Raises:
        SetupError: one of them is an original.
    """
    found = {target: each for target in sources if (each := identity(target))}
    places = {each: target for target, each in found.items()}
    for source in sources.values() if places else ():
        each = identity(source)
        if each in places:
            raise SetupError(f"{places[each]} is an original itself ({source}); choose another directory with -o.")
    return {
        target for target in found if os.path.isfile(target) and os.path.getsize(target) and not os.path.islink(target)
    }
