"""Plan which files are copied, and where each copy goes. The plan is complete before the first file is written."""

import itertools
import mimetypes
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from visage.cli.annotated import is_annotated
from visage.cli.console import count
from visage.cli.files import begins_as_picture, converted_suffix, file_identity, is_temporary
from visage.cli.output_directory import require_output_directory
from visage.cli.streams import file_path
from visage.errors import SetupError

# Names of images and videos that the tables of Python and of the system may lack: raw files of cameras, and formats of
# phones. Such a file fails and is listed, so that nobody passes the copies on in the belief that they are complete.
_MORE_PICTURES = re.compile(
    r".*\.(3fr|arw|cr2|cr3|dcr|dng|erf|fff|iiq|kdc|mef|mos|mrw|nef|nrw|orf|pef|raf|raw|rw2|rwl|sr2|srf|srw|x3f"
    r"|avif|bmp|heic|heif|hif|insp|j2k|jfif|jp2|jxl|psd|tga|tiff?|webp"
    r"|3gp|avi|flv|insv|m2ts|m4v|mkv|mov|mts|ogv|webm|wmv)",
    re.IGNORECASE | re.DOTALL,
)

# Names of files whose copies may have another format. Others are not opened for that.
_CONVERTED = (".heic", ".heif", ".hif", ".avif", ".tif", ".tiff")


# The line of a command's summary if directories hold no image.
NO_PHOTOS = "No photos found."


@dataclass(frozen=True, slots=True)
class Copy:
    """The paths of a file and of its copy: strings take less memory than Paths, and a run may have 100,000 files.

    `named` is the path that the copy would have with the name of the file; a HEIC is copied to a `.jpg`.
    """

    source: str
    target: str
    named: str


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    `copies` are to be made. `existing` is the number of copies that exist already, `skipped` that of files which are
    not images. `listing_errors` has an error for each directory that cannot be listed. `directories` are those that
    hold copies, existing or not.
    """

    copies: tuple[Copy, ...]
    existing: int
    skipped: int
    listing_errors: tuple[OSError, ...]
    directories: frozenset[Path]

    @property
    def is_empty(self) -> bool:
        """Whether no photo was found, with a copy or without, and nothing failed."""
        return not (self.copies or self.existing or self.listing_errors)


def plan_copies(paths: Sequence[Path], output: Path, *, again: bool) -> Plan:
    """Plan the copies of `paths`, files and directories, in the directory `output`, which need not exist yet.

    Existing copies are not made again, unless `again` is true.

    Raises:
        SetupError: `output` holds other files, or a copy would replace an original or another copy.
    """
    require_output_directory(output)
    output_identity = file_identity(output) or file_identity(_resolved(output))
    sources = _Sources()
    search = _Search(output_identity)
    for path in paths:
        if not os.path.isdir(path):
            sources.add(str(path), str(output / path.name))
            continue
        if file_identity(path) == output_identity:
            raise SetupError(f"{output} is the directory of the originals ({path}); choose another with -o.")
        target = output if len(paths) == 1 else output / _directory_name(path)
        for picture in search.pictures(path):
            sources.add(picture, os.path.join(target, picture[len(str(path)) :].lstrip(os.sep)))
    planned = tuple(sources.copies())
    existing = _existing_copies({copy.target: copy.source for copy in planned})
    copies = tuple(copy for copy in planned if again or copy.target not in existing)
    directories = frozenset(map(Path, {os.path.dirname(copy.target) for copy in planned}))
    return Plan(copies, len(planned) - len(copies), search.skipped, tuple(search.listing_errors), directories)


@dataclass(frozen=True)
class Found:
    """The `photos` of some paths. `skipped` and `listing_errors` are as in `Plan`.

    `annotated` is the number of annotated images of earlier runs, which are no photos.
    """

    photos: tuple[Path, ...]
    annotated: int
    skipped: int
    listing_errors: tuple[OSError, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do and nothing failed."""
        return not (self.photos or self.listing_errors)


def find_photos(paths: Sequence[Path], output: Path | None) -> Found:
    """Return `paths`, with the images in the tree of a directory in its place.

    `output` is searched only if it is one of the directories. Annotated images of earlier runs are left out of these.
    """
    output_identity = file_identity(output) if output else None
    search = _Search(output_identity if output_identity not in map(file_identity, paths) else None)
    photos: dict[Path, None] = {}
    annotated: set[Path] = set()
    for path in paths:
        if not path.is_dir():
            photos[path] = None
            continue
        for picture in (file_path(Path(each)) for each in search.pictures(path)):
            if is_annotated(picture):
                annotated.add(picture)
            else:
                photos[picture] = None
    return Found(tuple(photos), len(annotated), search.skipped, tuple(search.listing_errors))


def files_skipped(number: int) -> str:
    """The line of a command's summary that counts the files which are no images."""
    return f"{count(number, 'file')} skipped: not images, or links to directories."


def summary(plan: Plan) -> list[str]:
    """Return the lines of a command's summary about files that need no copy."""
    lines = [NO_PHOTOS] if plan.is_empty else []
    if plan.existing:
        copies, them = ("copy", "it") if plan.existing == 1 else ("copies", "them")
        lines.append(f"{plan.existing} existing {copies} skipped; --again replaces {them}.")
    if plan.skipped:
        lines.append(files_skipped(plan.skipped))
    return lines


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        # A loop of links. The attempt to make the directory reports it.
        return path


def _directory_name(directory: Path) -> str:
    return directory.name if directory.name not in {"", ".."} else directory.resolve().name


@dataclass(frozen=True)
class _Sources:
    """The files by the paths of their copies; of `converted` ones, which get another suffix, that as well."""

    kept: dict[str, str] = field(default_factory=dict)
    converted: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, source: str, target: str) -> None:
        """Add a file whose copy has the path `target` unless it is converted."""
        if target in self.kept or target in self.converted:
            other = self.kept.get(target) or self.converted[target][0]
            raise SetupError(
                f"{other} and {source} would both be copied to {target}; "
                "use two runs, each with its own output directory (-o)."
            )
        suffix = None
        if target.lower().endswith(_CONVERTED):
            with suppress(OSError):
                suffix = converted_suffix(source)
        if suffix:
            self.converted[target] = source, suffix
        else:
            self.kept[target] = source

    def copies(self) -> Iterator[Copy]:
        """Yield what is to be copied. A converted copy gets a number if its name is taken, in upper or lower case."""
        for target, source in self.kept.items():
            yield Copy(source, target, target)
        taken = {target.casefold() for target in self.kept} if self.converted else set[str]()
        for target, (source, suffix) in self.converted.items():
            stem = os.path.splitext(target)[0]
            numbered = (f"{stem} ({number}){suffix}" for number in itertools.count(2))
            free = next(each for each in itertools.chain([stem + suffix], numbered) if each.casefold() not in taken)
            taken.add(free.casefold())
            yield Copy(source, free, target)


class _Search:
    """Finds the pictures in directories. `skipped` counts the other files; `listing_errors` is as in `Plan`."""

    def __init__(self, excluded: tuple[int, int] | None) -> None:
        self._excluded = excluded
        self.skipped = 0
        self.listing_errors: list[OSError] = []

    def pictures(self, directory: Path) -> Iterator[str]:
        """Yield the path of each file in the tree of `directory` that may be a picture."""
        for found in _walk(directory, excluded=self._excluded):
            if isinstance(found, OSError):
                self.listing_errors.append(found)
            elif _may_be_picture(found):
                yield found.path
            else:
                self.skipped += 1


def _walk(directory: Path, excluded: tuple[int, int] | None) -> Iterator["os.DirEntry[str] | OSError"]:
    """Every file in the tree of `directory`, sorted by name, and an error for each directory that cannot be listed.

    Links to directories are not followed, because they can form loops. The directory whose identity is `excluded` is
    not entered.
    """
    stack = [str(directory)]
    while stack:
        current = stack.pop()
        if excluded is not None and file_identity(current) == excluded:
            continue
        try:
            with os.scandir(current) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
            directories = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            yield error
            continue
        yield from (entry for entry in entries if not entry.is_dir(follow_symlinks=False))
        stack.extend(reversed(directories))


def _may_be_picture(entry: "os.DirEntry[str]") -> bool:
    """Whether a file is an image by its name or content. A file that cannot be read may be one."""
    if is_temporary(entry.name):
        return False
    try:
        if not entry.is_file():
            # A broken link may have led to a photo. A pipe, a directory or a link to one is none.
            return entry.is_symlink() and not os.path.exists(entry.path)
        return _is_named_as_picture(entry.name) or begins_as_picture(entry.path)
    except OSError:
        return True


def _is_named_as_picture(name: str) -> bool:
    kind, _ = mimetypes.guess_type(name)
    return (kind or "").startswith(("image/", "video/")) or _MORE_PICTURES.fullmatch(name) is not None


def _existing_copies(sources: dict[str, str]) -> set[str]:
    """The targets that exist and are not empty. A link is not a copy.

    Raises:
        SetupError: a target is an original.
    """
    identities = {target: each for target in sources if (each := file_identity(target))}
    targets = {each: target for target, each in identities.items()}
    for source in sources.values() if targets else ():
        each = file_identity(source)
        if each in targets:
            raise SetupError(f"{targets[each]} is an original itself ({source}); choose another directory with -o.")
    return {
        target
        for target in identities
        if os.path.isfile(target) and os.path.getsize(target) and not os.path.islink(target)
    }
