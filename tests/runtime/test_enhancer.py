"""Super-resolution: enlarged tile by tile as if at once, within its limits, and never in the way of photos."""

import io
import os
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.enhance_packs import write_edsr_pack, write_luma_pack
from tests.support.paths import ROOT
from tests.support.pictures import as_stored, encode, encode_16_bit, exif, gradient
from tests.support.processes import peak, reset_peak, resident
from tests.support.waiting import wait_for
from visage.enhance.net import EnhanceNet
from visage.errors import EmptyImage, ImageTooLarge, PackError, QueueFull, SettingsError, UndecodableImage, WaitTimeout
from visage.packs.pack import read_pack
from visage.runtime.admission import Admission
from visage.runtime.engine import Engine
from visage.runtime.enhancer import Enhancer
from visage.settings import BUNDLED_MODELS, Settings

Pixels = NDArray[np.uint8]

# Sides from one pixel on, strips, and what leaves one pixel more than the tiles of 32 pixels hold.
SIZES = [(1, 1), (1, 2), (7, 1000), (1000, 7), (33, 32), (64, 65), (97, 61), (150, 131)]

# More than any picture here has.
UNTILED = 2000


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small nets over BGR and over luma, and the one that comes with Visage."""
    folder = tmp_path_factory.mktemp("superres")
    return {
        "bgr": write_edsr_pack(folder / "edsr"),
        "luma": write_luma_pack(folder / "luma"),
        "compact": ROOT / "models" / "compact",
    }


@pytest.fixture
def luma(packs: dict[str, Path]) -> Settings:
    return Settings(enhance_pack=str(packs["luma"]))


def png(pixels: Pixels) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def pixels_of(picture: bytes) -> Pixels:
    """(h, w, 3) BGR, read by Pillow as it is stored."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[..., ::-1].copy()


def enlarged(settings: Settings, pixels: Pixels, **changes: Any) -> NDArray[np.int16]:
    enhanced = Enhancer(replace(settings, **changes)).enhance(png(pixels))
    return pixels_of(enhanced.picture).astype(np.int16)


def noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_seam_is_seen_in_noise(packs: dict[str, Path], pack: str, width: int, height: int) -> None:
    settings = Settings(enhance_pack=str(packs[pack]))
    pixels = noise(width, height)

    tiled = enlarged(settings, pixels, tile=32)
    untiled = enlarged(settings, pixels, tile=UNTILED)

    assert tiled.shape == (3 * height, 3 * width, 3)
    assert abs(tiled - untiled).max() <= 1


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
@pytest.mark.parametrize("size", [(512, 512), (301, 257), (7, 500)])
def test_no_seam_is_seen_in_a_photo(
    packs: dict[str, Path], astronaut: Pixels, pack: str, size: tuple[int, int]
) -> None:
    settings = Settings(enhance_pack=str(packs[pack]))
    pixels = astronaut[: size[1], : size[0]]

    tiled = enlarged(settings, pixels, tile=70)
    untiled = enlarged(settings, pixels, tile=UNTILED)

    assert abs(tiled - untiled).max() <= 1


@pytest.mark.parametrize("earlier", ["a check", "a pixel"])
def test_what_a_net_did_before_does_not_matter(astronaut: Pixels, earlier: str) -> None:
    superres = read_pack(BUNDLED_MODELS / "compact").enhance
    assert superres
    fresh, used = EnhanceNet(superres), EnhanceNet(superres)

    if earlier == "a check":
        used.check()
    else:
        used.enlarge(np.zeros((1, 1, 3), np.uint8))

    # To the last bit: layers that are laid out in another way, and take half as long again, differ in it.
    face = np.ascontiguousarray(astronaut[60:160, 180:260])
    assert used.enlarge(face).tobytes() == fresh.enlarge(face).tobytes()


def test_without_overlap_there_are_seams(packs: dict[str, Path]) -> None:
    settings = Settings(enhance_pack=str(packs["bgr"]))
    pixels = noise(64, 64)

    difference = abs(enlarged(settings, pixels, tile=32, overlap=0) - enlarged(settings, pixels, tile=UNTILED))

    assert difference.max() > 10


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
def test_what_lies_farther_away_than_the_reach_does_not_matter(packs: dict[str, Path], pack: str) -> None:
    spec = read_pack(packs[pack]).enhance
    net = EnhanceNet(spec)
    side = 2 * spec.reach + 1
    pixels = noise(side + 2, side + 2)
    other = pixels.copy()
    other[[0, -1]], other[:, [0, -1]] = 255 - other[[0, -1]], 255 - other[:, [0, -1]]

    middle = slice(3 * (spec.reach + 1), 3 * (spec.reach + 2))

    # The colours of a net over luma are bicubic, which reaches two pixels.
    first, second = (cv2.cvtColor(net.enlarge(each), cv2.COLOR_BGR2GRAY) for each in (pixels, other))
    assert spec.reach < 2 or np.abs(first[middle, middle].astype(int) - second[middle, middle]).max() <= 1


def test_each_part_of_a_pixel_comes_to_lie_on_its_side(luma: Settings) -> None:
    dark, bright = 100, 200
    pixels = np.full((5, 5, 3), dark, np.uint8)
    pixels[2, 2] = bright

    grey = enlarged(luma, pixels)[..., 0]

    # The middle pixel's own block shows its dark neighbours everywhere but in its middle ...
    assert grey[7, 7] == bright
    assert (np.delete(grey[6:9, 6:9].ravel(), 4) == 175).all()
    # ... and of every neighbour the part beside it is a little brighter.
    assert grey[5, 5] == grey[5, 7] == grey[7, 5] == grey[9, 7] == 125
    assert grey[4, 4] == grey[4, 7] == dark


def test_a_net_over_luma_leaves_the_colours_to_bicubic_enlargement(luma: Settings) -> None:
    pixels = gradient(40, 60)

    found = cv2.cvtColor(enlarged(luma, pixels).astype(np.uint8), cv2.COLOR_BGR2YCrCb)

    expected = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2YCrCb), (180, 120), interpolation=cv2.INTER_CUBIC)
    # Where a colour is not one of the 16 million, the nearest is.
    assert np.abs(found[..., 1:].astype(int) - expected[..., 1:])[9:-9, 9:-9].mean() < 1


@pytest.mark.parametrize("size", [(70, 50), (1, 1), (3, 90)])
def test_a_picture_of_one_grey_stays_that_grey_to_its_edges(packs: dict[str, Path], size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), 90, np.uint8)

    grey = enlarged(Settings(enhance_pack=str(packs["compact"])), pixels, tile=32)

    assert np.abs(grey - 90).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_an_enlargement_is_a_file_of_the_same_format(luma: Settings, kind: str) -> None:
    enhanced = Enhancer(luma).enhance(encode(gradient(20, 30), kind))

    stored = Image.open(io.BytesIO(enhanced.picture))
    assert (stored.format, stored.size) == (kind, (90, 60))
    assert (enhanced.format.upper(), enhanced.width, enhanced.height, enhanced.scale) == (kind, 90, 60, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_enlargement_is_upright(luma: Settings, orientation: int) -> None:
    upright = gradient(24, 40)
    stored = encode(as_stored(upright, orientation), "PNG", exif=b"Exif\0\0" + exif(orientation))

    picture = Enhancer(luma).enhance(stored).picture

    assert np.array_equal(pixels_of(picture), enlarged(luma, upright))
    assert not Image.open(io.BytesIO(picture)).getexif()


def test_transparency_is_laid_on_white(luma: Settings) -> None:
    pixels = np.dstack([gradient(20, 20), np.zeros((20, 20), np.uint8)])

    picture = Enhancer(luma).enhance(png(pixels)).picture

    assert (pixels_of(picture)[3:-3, 3:-3] == 255).all()


def test_a_picture_of_16_bits_is_enlarged(luma: Settings) -> None:
    picture = Enhancer(luma).enhance(encode_16_bit(gradient(20, 30))).picture

    assert np.array_equal(pixels_of(picture), enlarged(luma, gradient(20, 30)))


def test_the_largest_input_bounds_the_output(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, max_enhance_pixels=600))

    assert enhancer.enhance(png(gradient(20, 30))).width == 90
    with pytest.raises(ImageTooLarge, match="20 x 31 pixels; at most 600 in all"):
        enhancer.enhance(png(gradient(31, 20)))


@pytest.mark.parametrize(("kind", "longest"), [("PNG", 21_833), ("WEBP", 5_461)])
def test_a_side_that_its_format_could_not_have_enlarged_is_refused(luma: Settings, kind: str, longest: int) -> None:
    enhancer = Enhancer(luma)

    assert enhancer.enhance(encode(gradient(1, longest), kind)).width == 3 * longest
    with pytest.raises(ImageTooLarge, match=f"no side may be longer than {longest:,}"):
        enhancer.enhance(encode(gradient(1, longest + 1), kind))


@pytest.mark.parametrize(("data", "error"), [(b"", EmptyImage), (png(noise(30, 30))[:800], UndecodableImage)])
def test_what_is_no_picture_is_refused(luma: Settings, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        Enhancer(luma).enhance(data)


def test_progress_is_told_before_the_first_tile_and_after_every_one(luma: Settings) -> None:
    told: list[tuple[int, int]] = []

    Enhancer(replace(luma, tile=32)).enhance(png(noise(60, 60)), lambda done, tiles: told.append((done, tiles)))

    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_it_is_told_where_the_time_went(luma: Settings) -> None:
    seconds = Enhancer(luma).enhance(png(noise(60, 60))).seconds

    assert set(seconds) == {"wait", "decode", "enlarge", "encode"}
    assert min(seconds.values()) >= 0


@pytest.mark.parametrize(
    ("changes", "tiles"),
    [
        # A luma net that reaches one pixel far gets the smallest tiles that are chosen.
        ({}, 4),
        ({"tile": 120}, 1),
        ({"tile": 30}, 20),
        ({"overlap": 16}, 1),
        # A pixel takes 288 bytes.
        ({"overlap": 4, "tile_bytes": 2**20}, 6),
    ],
)
def test_tiles_are_chosen_by_setting_overlap_and_memory(luma: Settings, changes: dict[str, Any], tiles: int) -> None:
    told: list[int] = []

    Enhancer(replace(luma, **changes)).enhance(png(noise(120, 110)), lambda _, of: told.append(of))

    assert told[0] == tiles


def test_a_pack_may_know_the_fastest_tile_of_its_net(packs: dict[str, Path], tmp_path: Path) -> None:
    for file in packs["luma"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = tmp_path / "pack.toml"
    manifest.write_text(manifest.read_text() + "tile = 32\n")
    told: list[int] = []

    Enhancer(Settings(enhance_pack=str(tmp_path))).enhance(png(noise(60, 60)), lambda _, of: told.append(of))

    assert told[0] == 4


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process holds")
def test_what_a_large_tile_needed_is_given_back(packs: dict[str, Path]) -> None:
    enhancer = Enhancer(Settings(enhance_pack=str(packs["bgr"]), tile=UNTILED))
    enhancer.enhance(png(noise(60, 60)))
    before = resident(os.getpid())
    reset_peak(os.getpid())

    enhancer.enhance(png(np.full((700, 700, 3), 127, np.uint8)))

    # Megabytes; a net that keeps its layers holds 200.
    assert peak(os.getpid()) - before > 250
    assert resident(os.getpid()) - before < 100


def test_a_tile_that_is_too_small_for_the_overlap_is_refused(luma: Settings) -> None:
    with pytest.raises(SettingsError, match="VISAGE_TILE is 30; for an overlap of 8 it must be 32 or more"):
        Enhancer(replace(luma, tile=30, overlap=8))


def test_too_little_memory_for_the_overlap_is_refused(luma: Settings) -> None:
    with pytest.raises(SettingsError, match=r"VISAGE_TILE_BYTES is 1048576; for an overlap of 16 .* needs 1179648 or"):
        Enhancer(replace(luma, overlap=16, tile_bytes=2**20))

    assert Enhancer(replace(luma, overlap=16, tile_bytes=1179648)).enhance(png(noise(9, 9))).width == 27


def test_a_manifest_that_says_an_absurd_reach_is_refused(packs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(packs["luma"], tmp_path / "luma")
    manifest = tmp_path / "luma" / "pack.toml"
    manifest.write_text(manifest.read_text().replace("reach = 1", "reach = 1000000"))

    with pytest.raises(PackError, match="reach is 1000000; it must be a whole number from 0 to 1024"):
        Enhancer(Settings(enhance_pack=str(tmp_path / "luma")))


def test_a_pack_without_such_a_net_is_refused(tiny_pack: Path) -> None:
    with pytest.raises(PackError, match=r"The pack tiny has no net that enlarges; set VISAGE_SUPERRES_PACK"):
        Enhancer(Settings(enhance_pack=str(tiny_pack)))


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("scale = 3", "scale = 2", r"it makes \(1, 9, 1, 1\) of 1 x 1 pixels"),
        ('colour = "luma"', 'colour = "bgr"', "does not fit its manifest"),
    ],
)
def test_a_manifest_that_does_not_fit_its_net_is_told_before_anything_is_served(
    packs: dict[str, Path], tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    for file in packs["luma"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pack.toml").write_text((tmp_path / "pack.toml").read_text().replace(right, wrong))

    with pytest.raises(PackError, match=said):
        Enhancer(Settings(enhance_pack=str(tmp_path))).check()


def test_files_that_are_no_net_are_refused(packs: dict[str, Path], tmp_path: Path) -> None:
    spec = read_pack(packs["luma"]).enhance

    with pytest.raises(PackError, match="OpenCV cannot read"):
        EnhanceNet(replace(spec, weights=spec.prototxt or spec.weights))


def test_an_engine_enlarges_in_its_slots(tiny_pack: Path, luma: Settings, tiny_png: bytes) -> None:
    engine = Engine(replace(luma, pack=str(tiny_pack), queue=0, wait_seconds=0))
    tiles: list[int] = []

    with ThreadPoolExecutor(1) as pool:
        with engine.admission.slot():
            call = pool.submit(engine.enhance, tiny_png, lambda done, _: tiles.append(done))
            assert wait_for(lambda: engine.admission._waiters)
            began = time.perf_counter()
            time.sleep(0.05)
            begun, waited = bool(tiles), time.perf_counter() - began
        enhanced = call.result()

    assert not begun
    assert enhanced.width == 3 * 384
    assert enhanced.seconds["wait"] >= waited


def test_as_many_pictures_wait_to_be_enlarged_as_half_of_the_photos(luma: Settings, tiny_png: bytes) -> None:
    enhancer = Enhancer(replace(luma, queue=5, wait_seconds=60))
    refused, finish = threading.Semaphore(0), threading.Event()

    def call() -> str:
        try:
            enhancer.enhance(tiny_png, lambda _done, _tiles: finish.wait(60))
        except QueueFull:
            refused.release()
            return "refused"
        return "enlarged"

    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(call) for _ in range(6)]
        for _ in range(2):
            assert refused.acquire(timeout=60)
        finish.set()
        outcomes = sorted(each.result() for each in calls)

    assert outcomes == ["enlarged"] * 4 + ["refused"] * 2


def test_who_finds_no_place_learns_when_to_come_again(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, queue=0))
    refused: list[QueueFull] = []

    def come(done: int, _tiles: int) -> None:
        with pytest.raises(QueueFull) as error:
            enhancer.enhance(png(noise(9, 9)))
        refused.append(error.value)
        time.sleep(1.2 if done else 0)

    for _ in range(2):
        enhancer.enhance(png(noise(9, 9)), come)

    first, *_, last = refused
    assert first.retry_after == 1
    assert str(first) == "Another picture is being enlarged, and as many wait as may; try again in 1 s."
    # The first picture took longer than 1.2 seconds.
    assert last.retry_after >= 2


def test_who_waits_too_long_for_his_turn_learns_when_to_come_again(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, queue=2, wait_seconds=0.01))
    refused: list[WaitTimeout] = []

    def come(done: int, _tiles: int) -> None:
        if done:
            with pytest.raises(WaitTimeout) as error:
                enhancer.enhance(png(noise(9, 9)))
            refused.append(error.value)

    enhancer.enhance(png(noise(9, 9)), come)

    assert "Another picture is being enlarged, and that did not come to its end in time" in str(refused[0])


def test_the_net_works_in_a_slot_only(luma: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)
    enhancer = Enhancer(replace(luma, tile=32), admission)
    infer, in_slot = EnhanceNet._infer, []

    def watched(net: EnhanceNet, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        in_slot.append(admission.busy)
        return infer(net, blob)

    monkeypatch.setattr(EnhanceNet, "_infer", watched)
    enhancer.enhance(png(noise(60, 60)))

    # What lays the net out, four tiles, and the one pixel for which the memory of a tile is given back.
    assert in_slot == [True] * 6


def test_one_picture_is_enlarged_at_a_time_and_photos_pass(tiny_pack: Path, luma: Settings, tiny_png: bytes) -> None:
    engine = Engine(replace(luma, pack=str(tiny_pack), slots=2, wait_seconds=60))
    began, finish = threading.Semaphore(0), threading.Event()

    def hold(_done: int, _tiles: int) -> None:
        began.release()
        finish.wait(60)

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(engine.enhance, tiny_png, hold) for _ in range(4)]
        assert began.acquire(timeout=60)
        faces = engine.analyze(tiny_png).faces
        second_began = began.acquire(timeout=0.1)
        finish.set()
        widths = [call.result().width for call in calls]

    assert len(faces) == 3
    assert not second_began
    assert widths == [3 * 384] * 4


def test_between_two_tiles_the_slot_is_free(luma: Settings) -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)
    order: list[str] = []

    def come(done: int, _tiles: int) -> None:
        with admission.slot():
            order.append(f"a photo after tile {done}")

    Enhancer(replace(luma, tile=32), admission).enhance(png(noise(60, 60)), come)

    assert order == [f"a photo after tile {done}" for done in (0, 1, 2, 3, 4)]


def test_while_photos_wait_one_tile_is_worked_on_at_a_time(luma: Settings) -> None:
    admission = Admission(slots=1, queue=100, wait_seconds=60)
    order: list[str] = []

    def photo() -> None:
        with admission.slot():
            order.append("photo")

    def come(done: int, _tiles: int) -> None:
        order.append(f"tile {done}")
        if done == 1:
            # Whoever holds the slot now has photos queued behind it, and the next tile behind these.
            with admission.slot():
                for _ in range(3):
                    pool.submit(photo)
                end = time.monotonic() + 30
                while admission.waiting < 3 and time.monotonic() < end:
                    time.sleep(0.001)

    with ThreadPoolExecutor(3) as pool:
        Enhancer(replace(luma, tile=32), admission).enhance(png(noise(60, 60)), come)

    assert order == ["tile 0", "tile 1", "photo", "photo", "photo", "tile 2", "tile 3", "tile 4"]


def test_who_has_had_enough_ends_it_and_the_slot_is_free(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, tile=32, queue=0, wait_seconds=0))

    def interrupt(_done: int, _tiles: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhancer.enhance(png(noise(60, 60)), interrupt)

    assert enhancer.enhance(png(noise(60, 60))).width == 180


def test_a_pack_of_the_default_name_that_does_not_enlarge_stops_nobody(tmp_path: Path) -> None:
    own = tmp_path / "compact"
    shutil.copytree(BUNDLED_MODELS / "compact", own)
    manifest = (own / "pack.toml").read_text()
    (own / "pack.toml").write_text(manifest[: manifest.index("[superres]")])

    engine = Engine(Settings(models_dir=tmp_path))

    assert engine.pack.folder == own
    assert engine.enhancer.pack.folder == BUNDLED_MODELS / "compact"
