"""Model packs: a folder with the manifest `pack.toml` and the files that it names.

The manifest defines preprocessing and labels, so other nets need no other code.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visage.directories import BUNDLED_MODELS
from visage.errors import PackError
from visage.packs.enhance_spec import EnhanceSpec, read_enhance_spec
from visage.packs.files import PackFile, is_plain_name, pack_file
from visage.packs.manifest import ManifestTable

MANIFEST = "pack.toml"
ROLES = ("face", "gender", "age")
ENHANCE = "superres"

# The default of `smallest_face`, divided by the input size: 25 of 300 pixels, measured for res10.
_SMALLEST_FACE = 1 / 12

# The default of `redaction_confidence`, divided by `min_confidence`.
_REDACTION_CONFIDENCE = 0.5

# The name of `redaction_confidence` in the manifests of version 0.1.
_OLD_REDACTION_KEY = "guard_confidence"

# Far above the input of any net for a CPU, so that an error in the manifest does not allocate gigabytes.
_MAX_INPUT = 4096


@dataclass(frozen=True)
class NetSpec:
    """The files and the preprocessing of a net.

    `input` is (width, height) in pixels. The net gets `(pixels - mean) * scale`, in RGB order if `swap_rb`, else BGR.
    """

    prototxt: PackFile
    weights: PackFile
    input: tuple[int, int]
    mean: tuple[float, float, float]
    scale: float
    swap_rb: bool


@dataclass(frozen=True)
class FaceSpec(NetSpec):
    """The face detector.

    A box counts as a face from `min_confidence` (0 to 1) on. When faces are redacted, it counts from
    `redaction_confidence` on, which is no higher, because a missed face is worse than a false positive there.
    `smallest_face` is the height, in pixels of the input, from which the detector finds faces reliably. `strides` are
    those of the output layers of a net without anchors, which gives landmarks; they are empty for an SSD.
    """

    min_confidence: float
    smallest_face: float
    redaction_confidence: float
    strides: tuple[int, ...] = ()


@dataclass(frozen=True)
class ClassifierSpec(NetSpec):
    """A classifier of face crops.

    `crop_scale` is the side of the square crop divided by the longer side of the face's box. Its centre lies
    `crop_shift` longer sides below that of the box. `ranges` has the first and last year of each age group; it is empty
    for genders. `output` names the layer of its probabilities in a net that has several outputs.
    """

    crop_scale: float
    labels: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...] = ()
    crop_shift: float = 0.0
    output: str = ""


@dataclass(frozen=True)
class AttributeSpecs:
    """The detector and the two classifiers."""

    face: FaceSpec
    gender: ClassifierSpec
    age: ClassifierSpec


@dataclass(frozen=True)
class Pack:
    """The content of a manifest. The other files of the pack are read later.

    A pack has nets for faces (`attributes`), a super-resolution net (`enhancement`), or both. The properties `face`,
    `gender`, `age` and `enhance` raise PackError if the pack lacks the net.
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
            raise PackError(f"The pack {self.name} has no super-resolution net; set VISAGE_SUPERRES_PACK to another.")
        return self.enhancement

    @property
    def files(self) -> tuple[PackFile, ...]:
        """All files of the manifest, in the order face, gender, age, superres, each prototxt before its weights.

        A file that two nets share is listed once.
        """
        nets = self.attributes
        specs = [
            *((nets.face, nets.gender, nets.age) if nets else ()),
            *([self.enhancement] if self.enhancement else []),
        ]
        return tuple(dict.fromkeys(file for spec in specs for file in (spec.prototxt, spec.weights) if file))

    @property
    def _attributes(self) -> AttributeSpecs:
        if self.attributes is None:
            raise PackError(f"The pack {self.name} has no nets for faces; set VISAGE_PACK to another.")
        return self.attributes


def find_pack(name: str, models_dir: Path = BUNDLED_MODELS) -> Pack:
    """Find a pack by name under `models_dir` or among the bundled packs, or by path.

    Raises:
        PackError: there is no such pack, or its manifest is invalid.
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
    """The folders with a manifest, sorted by name. A folder under `models_dir` hides the bundled one of its name."""
    found: dict[str, Path] = {}
    for root in (models_dir, BUNDLED_MODELS):
        for manifest in sorted(root.glob(f"*/{MANIFEST}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return [found[name] for name in sorted(found)]


def read_pack(folder: Path) -> Pack:
    """Read and check the manifest in `folder`.

    Raises:
        PackError: the manifest is missing or not TOML, or a key is missing or has an invalid value.
    """
    manifest = folder / MANIFEST
    try:
        table = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PackError(f"{manifest} cannot be read: {error}.") from None
    top = ManifestTable(manifest, "", table)
    # A pack with only a super-resolution net has none of the other tables.
    has_faces = ENHANCE not in table or any(role in table for role in ROLES)
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
        enhancement=read_enhance_spec(top.table(ENHANCE)) if ENHANCE in table else None,
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
    confidence = role.number("min_confidence", 0, 1)
    key = _OLD_REDACTION_KEY if _OLD_REDACTION_KEY in role.content else "redaction_confidence"
    redaction = role.number(key, 0, confidence) if key in role.content else confidence * _REDACTION_CONFIDENCE
    strides = tuple(role.list_of("strides", int)) if "strides" in role.content else ()
    if "strides" in role.content and (not strides or min(strides) < 1 or len(set(strides)) < len(strides)):
        raise role.fault("strides", "at least one whole number of pixels, each once")
    return FaceSpec(
        **fields,
        min_confidence=confidence,
        smallest_face=smallest,
        redaction_confidence=redaction,
        strides=strides,
    )


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
        **_net_fields(role),
        crop_scale=role.number("crop_scale", 0.5, 4),
        labels=tuple(labels),
        ranges=ranges,
        crop_shift=role.number("crop_shift", -1, 1) if "crop_shift" in role.content else 0.0,
        output=role.text("output", ""),
    )


def _net_fields(role: ManifestTable) -> dict[str, Any]:
    width, height = role.list_of("input", int, 2)
    if not 1 <= min(width, height) <= max(width, height) <= _MAX_INPUT:
        raise role.fault("input", f"two sizes from 1 to {_MAX_INPUT} pixels")
    mean = role.list_of("mean", float, 3)
    return {
        "prototxt": pack_file(role, "prototxt", "prototxt_sha256", "prototxt_source"),
        "weights": pack_file(role, "weights", "sha256", "source"),
        "input": (width, height),
        "mean": (mean[0], mean[1], mean[2]),
        "scale": role.number("scale", 0, 1e6),
        "swap_rb": role.flag("swap_rb"),
    }
