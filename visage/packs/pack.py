"""Model packs: a folder with a `pack.toml` and the files that it names, read and verified.

The manifest alone decides preprocessing and labels, so that other nets never need other code.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visage.errors import PackError
from visage.packs.enhance_spec import EnhanceSpec, read_enhance_spec
from visage.packs.files import PackFile, is_plain_name, pack_file
from visage.packs.manifest import ManifestTable
from visage.settings import BUNDLED_MODELS

MANIFEST = "pack.toml"
ROLES = ("face", "gender", "age")
ENLARGING = "superres"

# The smallest face that a detector finds reliably, over its input, where the manifest is silent: res10's 25 pixels.
_SMALLEST_FACE = 1 / 12

# The guard's confidence over that for attributes, where the manifest is silent.
_GUARD_CONFIDENCE = 0.5

# Far above the input of any net that a CPU runs: a slip in the manifest must not ask for gigabytes.
_LARGEST_INPUT = 4096


@dataclass(frozen=True)
class NetSpec:
    """How one net is fed: `input` (width, height) in pixels; `blob = (pixels - mean) * scale`, RGB if `swap_rb`."""

    prototxt: PackFile
    weights: PackFile
    input: tuple[int, int]
    mean: tuple[float, float, float]
    scale: float
    swap_rb: bool


@dataclass(frozen=True)
class FaceSpec(NetSpec):
    """The face detector.

    `min_confidence` in 0..1 is the confidence from which a box counts as a face; `smallest_face` is the height in
    pixels fed from which the net finds faces reliably; `guard_confidence` is that from which the privacy guard covers a
    box, lower because a missed face is the worse error there.
    """

    min_confidence: float
    smallest_face: float
    guard_confidence: float


@dataclass(frozen=True)
class ClassifierSpec(NetSpec):
    """A classifier of face crops.

    `crop_scale` is the side of the square crop over the longer side of the face box, around the box's centre.
    `ranges` holds the inclusive years of each label of the age net; it is empty for the gender net.
    """

    crop_scale: float
    labels: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class AttributeSpecs:
    """The nets that find and describe faces."""

    face: FaceSpec
    gender: ClassifierSpec
    age: ClassifierSpec


@dataclass(frozen=True)
class Pack:
    """A whole pack, as its manifest describes it; no file but the manifest has been read yet.

    It has nets for faces, or one that enlarges, or both. Whoever asks for one that it lacks gets a PackError.
    """

    name: str
    version: str
    description: str
    folder: Path
    attributes: AttributeSpecs | None
    enhancement: EnhanceSpec | None

    @property
    def face(self) -> FaceSpec:
        return self._attributes.face

    @property
    def gender(self) -> ClassifierSpec:
        return self._attributes.gender

    @property
    def age(self) -> ClassifierSpec:
        return self._attributes.age

    @property
    def enhance(self) -> EnhanceSpec:
        if self.enhancement is None:
            raise PackError(f"The pack {self.name} has no net that enlarges; set VISAGE_SUPERRES_PACK to another.")
        return self.enhancement

    @property
    def files(self) -> tuple[PackFile, ...]:
        """Every file that the manifest names, prototxt before weights, in the order face, gender, age, superres."""
        found = self.attributes
        specs = [
            *((found.face, found.gender, found.age) if found else ()),
            *([self.enhancement] if self.enhancement else []),
        ]
        return tuple(file for spec in specs for file in (spec.prototxt, spec.weights) if file)

    @property
    def _attributes(self) -> AttributeSpecs:
        if self.attributes is None:
            raise PackError(f"The pack {self.name} has no nets for faces; set VISAGE_PACK to another.")
        return self.attributes


def find_pack(name: str, models_dir: Path = BUNDLED_MODELS) -> Pack:
    """The pack of that name under `models_dir`, else among those that come with Visage, else at that path.

    Raises:
        PackError: there is none, or its manifest is not valid.
    """
    candidates = [models_dir / name, BUNDLED_MODELS / name] if Path(name).name == name else []
    for folder in [*candidates, Path(name)]:
        if (folder / MANIFEST).is_file():
            return read_pack(folder)
    known = ", ".join(folder.name for folder in pack_folders(models_dir)) or "none"
    searched = " or ".join(dict.fromkeys(map(str, candidates or [Path(name)])))
    raise PackError(
        f"There is no model pack {name!r}: no {MANIFEST} in {searched}. "
        f"Packs here: {known}. Set VISAGE_PACK (or VISAGE_SUPERRES_PACK) to one of them (visage models "
        "fetch NAME downloads its files) or to the path of a pack."
    )


def pack_folders(models_dir: Path = BUNDLED_MODELS) -> list[Path]:
    """The folders that hold a manifest, those under `models_dir` before those that come with Visage, by name."""
    found: dict[str, Path] = {}
    for root in (models_dir, BUNDLED_MODELS):
        for manifest in sorted(root.glob(f"*/{MANIFEST}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return [found[name] for name in sorted(found)]


def read_pack(folder: Path) -> Pack:
    """Read and check the manifest in `folder`.

    Raises:
        PackError: the manifest is missing, not TOML, or a key is missing or holds what it must not.
    """
    manifest = folder / MANIFEST
    try:
        table = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackError(f"{manifest} cannot be read: {error}.") from None
    top = ManifestTable(manifest, "", table)
    # One that only enlarges has none of the others.
    has_faces = ENLARGING not in table or any(role in table for role in ROLES)
    roles = {role: top.table(role) for role in ROLES} if has_faces else {}
    name = top.text("name")
    if not is_plain_name(name):
        raise top.fault("name", "a name without a folder")
    return Pack(
        name=name,
        version=top.text("version"),
        description=top.text("description", ""),
        folder=folder,
        attributes=_attribute_specs(roles) if roles else None,
        enhancement=read_enhance_spec(top.table(ENLARGING)) if ENLARGING in table else None,
    )


def _attribute_specs(roles: dict[str, ManifestTable]) -> AttributeSpecs:
    return AttributeSpecs(
        face=_face_spec(roles["face"]),
        gender=_classifier_spec(roles["gender"]),
        age=_classifier_spec(roles["age"], with_ranges=True),
    )


def _face_spec(role: ManifestTable) -> FaceSpec:
    fields = _net_fields(role)
    longer = max(fields["input"])
    smallest = role.number("smallest_face", 0, longer) if "smallest_face" in role.content else longer * _SMALLEST_FACE
    least = role.number("min_confidence", 0, 1)
    guard = (
        role.number("guard_confidence", 0, least) if "guard_confidence" in role.content else least * _GUARD_CONFIDENCE
    )
    return FaceSpec(**fields, min_confidence=least, smallest_face=smallest, guard_confidence=guard)


def _classifier_spec(role: ManifestTable, with_ranges: bool = False) -> ClassifierSpec:
    labels = role.list_of("labels", str)
    if not labels or not all(labels) or len(set(labels)) < len(labels):
        raise role.fault("labels", "at least one label, each with a name of its own")
    ranges: tuple[tuple[int, int], ...] = ()
    if with_ranges:
        ranges = tuple((low, high) for low, high in role.pairs("ranges"))
        if len(ranges) != len(labels):
            raise role.fault("ranges", f"as many pairs as there are labels ({len(labels)})")
    return ClassifierSpec(
        **_net_fields(role), crop_scale=role.number("crop_scale", 0.5, 4), labels=tuple(labels), ranges=ranges
    )


def _net_fields(role: ManifestTable) -> dict[str, Any]:
    width, height = role.list_of("input", int, 2)
    if not 1 <= min(width, height) <= max(width, height) <= _LARGEST_INPUT:
        raise role.fault("input", f"two sizes from 1 to {_LARGEST_INPUT} pixels")
    mean = role.list_of("mean", float, 3)
    return {
        "prototxt": pack_file(role, "prototxt", "prototxt_sha256", "prototxt_source"),
        "weights": pack_file(role, "weights", "sha256", "source"),
        "input": (width, height),
        "mean": (mean[0], mean[1], mean[2]),
        "scale": role.number("scale", 0, 1e6),
        "swap_rb": role.flag("swap_rb"),
    }
