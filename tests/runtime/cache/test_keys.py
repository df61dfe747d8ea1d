"""Different photos, options, packs and versions have different results."""

from collections.abc import Callable
from dataclasses import fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.runtime.cache.caching import ENHANCE, DictStore, caching_engine, without_timings
from visage.errors import EmptyImage, ImageTooLarge, UndecodableImage
from visage.faces.analyzer import AnalyzeOptions
from visage.faces.search import Detail
from visage.packs.files import PackFile
from visage.packs.pack import NetSpec, Pack
from visage.runtime import result_cache
from visage.runtime.engine import Engine
from visage.runtime.result_cache import ResultCache
from visage.settings import Settings

# For every field of AnalyzeOptions, a value that changes the result for the tiny photo. Add new fields here.
OTHER_OPTIONS = {
    "min_confidence": 0.999,
    "max_faces": 1,
    "min_face_size": 97,
    "detail": Detail.HIGH,
    "enhance_faces": True,
}

# The settings that change the result for a photo.
DECISIVE_SETTINGS = {"pack", "models_dir", "jpeg_quality"}

# The settings that do not. `max_image_pixels` and `max_decode_bytes` are checked before the cache is used.
OTHER_SETTINGS = {
    *(
        "mirror",
        "slots",
        "opencv_threads",
        "queue",
        "wait_seconds",
        "max_body_bytes",
        "body_memory",
        "max_image_pixels",
        "max_anonymize_pixels",
        "max_decode_bytes",
    ),
    *("body_seconds", "cache_bytes", "cache_seconds", "cache_url"),
    *("api_token", "cors_origins", "allowed_hosts", "metrics"),
    *("state_dir", "batch_store", "batch_redis", "batch_hours", "batch_jobs"),
    *("max_batch_bytes", "max_batch_files", "batch_storage_bytes"),
    *("enhance_pack", "max_enhance_pixels", "tile", "tile_bytes", "overlap"),
    *("log_level", "log_addresses", "host", "port", "workers"),
}


@pytest.fixture(scope="module")
def pack(engine: Engine) -> Pack:
    return engine.pack


def test_every_option_is_covered_by_these_tests() -> None:
    assert set(OTHER_OPTIONS) == {field.name for field in fields(AnalyzeOptions)}


def test_every_setting_is_listed_here_as_part_of_the_key_or_not() -> None:
    assert {field.name for field in fields(Settings)} == DECISIVE_SETTINGS | OTHER_SETTINGS


@pytest.mark.parametrize("name", OTHER_OPTIONS)
def test_a_result_is_not_returned_for_other_options(
    caching: Engine, engine: Engine, tiny_png: bytes, name: str
) -> None:
    other = AnalyzeOptions(**{name: OTHER_OPTIONS[name]})  # type: ignore[arg-type]
    caching.analyze(tiny_png)

    answer = caching.analyze(tiny_png, other)

    assert not answer.cached
    assert without_timings(answer) == without_timings(engine.analyze(tiny_png, other))


def test_different_options_have_different_keys(caching: Engine) -> None:
    assert caching.cache is not None
    choices = [
        AnalyzeOptions(),
        *(AnalyzeOptions(min_confidence=value) for value in (0.1, 0.01, 1.0)),
        *(AnalyzeOptions(max_faces=value) for value in (1, 2, 10)),
        *(AnalyzeOptions(min_face_size=value) for value in (1, 2, 10)),
        *(AnalyzeOptions(detail=value) for value in (Detail.FAST, Detail.HIGH)),
    ]

    keys = {
        caching.cache.key(b"photo", options, annotated=annotated) for options in choices for annotated in (True, False)
    }

    assert len(keys) == 2 * len(choices)


def test_a_result_without_an_image_is_not_returned_when_an_image_is_requested(caching: Engine, tiny_png: bytes) -> None:
    caching.analyze(tiny_png, annotated=False)

    assert caching.analyze(tiny_png, annotated=True).annotated is not None
    assert caching.analyze(tiny_png, annotated=False).annotated is None


def test_another_file_with_the_same_pixels_is_another_photo(caching: Engine, tiny_png: bytes, tiny_jpeg: bytes) -> None:
    caching.analyze(tiny_png)

    assert not caching.analyze(tiny_jpeg).cached
    assert not caching.analyze(tiny_png + b"\0").cached


def test_the_annotated_image_has_the_configured_quality(tiny_pack: Path, store: DictStore, tiny_png: bytes) -> None:
    good = caching_engine(tiny_pack, store, jpeg_quality=90).analyze(tiny_png)
    poor = caching_engine(tiny_pack, store, jpeg_quality=10).analyze(tiny_png)

    assert not poor.cached
    assert len(poor.annotated or b"") < len(good.annotated or b"")


def with_net(pack: Pack, **net: NetSpec) -> Pack:
    assert pack.attributes
    return replace(pack, attributes=replace(pack.attributes, **net))  # type: ignore[arg-type]


def altered(file: PackFile) -> PackFile:
    return replace(file, checksum="0" * 64)


@pytest.mark.parametrize(
    "change",
    [
        lambda pack: replace(pack, name="other"),
        lambda pack: replace(pack, version="2"),
        lambda pack: with_net(pack, face=replace(pack.face, weights=altered(pack.face.weights))),
        lambda pack: with_net(pack, face=replace(pack.face, prototxt=altered(pack.face.prototxt))),
        lambda pack: with_net(pack, gender=replace(pack.gender, weights=altered(pack.gender.weights))),
        lambda pack: with_net(pack, age=replace(pack.age, weights=altered(pack.age.weights))),
        # Values that a manifest can change without any other file.
        lambda pack: with_net(pack, face=replace(pack.face, min_confidence=0.9)),
        lambda pack: with_net(pack, gender=replace(pack.gender, labels=("M", "F"))),
        lambda pack: with_net(pack, age=replace(pack.age, crop_scale=1.5)),
    ],
    ids=["name", "version", "detector", "prototxt", "gender", "age", "min_confidence", "labels", "crop_scale"],
)
def test_a_result_of_another_pack_has_another_key(pack: Pack, change: Callable[[Pack], Pack]) -> None:
    one = ResultCache(DictStore(), pack, ENHANCE, 90)
    other = ResultCache(DictStore(), change(pack), ENHANCE, 90)

    assert one.key(b"photo", AnalyzeOptions(), annotated=True) != other.key(b"photo", AnalyzeOptions(), annotated=True)


@pytest.mark.parametrize("name", ["FORMAT", "__version__"])
def test_a_result_of_another_version_has_another_key(pack: Pack, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    one = ResultCache(DictStore(), pack, ENHANCE, 90)
    monkeypatch.setattr(result_cache, name, "other")
    other = ResultCache(DictStore(), pack, ENHANCE, 90)

    assert one.key(b"photo", AnalyzeOptions(), annotated=True) != other.key(b"photo", AnalyzeOptions(), annotated=True)


@pytest.mark.parametrize("package", ["pillow", "pi-heif"])
@pytest.mark.parametrize("installed", ["0.0.1", None])
def test_a_result_with_another_version_of_a_decoder_or_without_it_has_another_key(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, package: str, installed: str | None
) -> None:
    def other_version(name: str) -> str:
        if name != package:
            return version(name)
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    one = ResultCache(DictStore(), pack, ENHANCE, 90)
    monkeypatch.setattr("importlib.metadata.version", other_version)
    other = ResultCache(DictStore(), pack, ENHANCE, 90)

    assert one.key(b"photo", AnalyzeOptions(), annotated=True) != other.key(b"photo", AnalyzeOptions(), annotated=True)


def test_a_result_of_another_net_that_enlarges_small_faces_has_another_key(pack: Pack) -> None:
    one = ResultCache(DictStore(), pack, ENHANCE, 90)
    other = ResultCache(DictStore(), pack, replace(ENHANCE, weights=altered(ENHANCE.weights)), 90)

    assert one.key(b"photo", AnalyzeOptions(), annotated=True) != other.key(b"photo", AnalyzeOptions(), annotated=True)


def test_the_cache_of_an_engine_knows_the_net_that_enlarges_small_faces(tiny_pack: Path) -> None:
    engine = Engine(Settings(pack=str(tiny_pack), cache_bytes=1_000_000))
    other = ResultCache(DictStore(), engine.pack, ENHANCE, engine.settings.jpeg_quality)

    assert engine.cache is not None
    assert engine.cache.key(b"photo", AnalyzeOptions(), annotated=True) == other.key(
        b"photo", AnalyzeOptions(), annotated=True
    )


def test_the_pixel_limit_applies_to_cached_photos(tiny_pack: Path, store: DictStore, tiny_png: bytes) -> None:
    caching_engine(tiny_pack, store).analyze(tiny_png)

    with pytest.raises(ImageTooLarge):
        caching_engine(tiny_pack, store, max_image_pixels=100).analyze(tiny_png)


def test_an_invalid_photo_is_never_cached(caching: Engine, store: DictStore, tiny_png: bytes) -> None:
    with pytest.raises(EmptyImage):
        caching.analyze(b"")
    for _ in range(2):
        with pytest.raises(UndecodableImage):
            caching.analyze(tiny_png[:-100])

    assert store.contents == {}


def test_a_value_that_a_key_cannot_contain_raises(caching: Engine) -> None:
    assert caching.cache is not None

    with pytest.raises(TypeError, match="cannot be part of a key"):
        caching.cache.key(b"photo", AnalyzeOptions(enhance_faces=object()), annotated=True)  # type: ignore[arg-type]
