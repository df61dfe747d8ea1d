"""Enhancement: tiles without visible seams, within the limits, and without delaying photos."""

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

# Single pixels, strips, and sizes with one pixel more than tiles of 32 pixels hold.
SIZES = [(1, 1), (1, 2), (7, 1000), (1000, 7), (33, 32), (64, 65), (97, 61), (150, 131)]

# A tile side larger than any image here.
UNTILED = 2000


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small nets for BGR and for luma, and the bundled one."""
    folder = tmp_path_factory.mktemp("enhance")
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
    """Decode an image with Pillow, without applying its orientation: (h, w, 3) uint8 BGR."""
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))[..., ::-1].copy()


def enhance(settings: Settings, pixels: Pixels, **changes: Any) -> NDArray[np.int16]:
    enhanced = Enhancer(replace(settings, **changes)).enhance(png(pixels))
    return pixels_of(enhanced.picture).astype(np.int16)


def noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_noise_has_no_visible_seams(packs: dict[str, Path], pack: str, width: int, height: int) -> None:
    settings = Settings(enhance_pack=str(packs[pack]))
    pixels = noise(width, height)

    tiled = enhance(settings, pixels, tile=32)
    untiled = enhance(settings, pixels, tile=UNTILED)

    assert tiled.shape == (3 * height, 3 * width, 3)
    assert abs(tiled - untiled).max() <= 1


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
@pytest.mark.parametrize("size", [(512, 512), (301, 257), (7, 500)])
def test_a_photo_has_no_visible_seams(
    packs: dict[str, Path], astronaut: Pixels, pack: str, size: tuple[int, int]
) -> None:
    settings = Settings(enhance_pack=str(packs[pack]))
    pixels = astronaut[: size[1], : size[0]]

    tiled = enhance(settings, pixels, tile=70)
    untiled = enhance(settings, pixels, tile=UNTILED)

    assert abs(tiled - untiled).max() <= 1


@pytest.mark.parametrize("earlier", ["a check", "a pixel"])
def test_earlier_inputs_of_a_net_do_not_change_its_output(astronaut: Pixels, earlier: str) -> None:
    spec = read_pack(BUNDLED_MODELS / "compact").enhance
    fresh, used = EnhanceNet(spec), EnhanceNet(spec)

    if earlier == "a check":
        used.check()
    else:
        used.enhance(np.zeros((1, 1, 3), np.uint8))

    # To the last bit: without Winograd's transform layers take half as long again, and the last bits differ.
    face = np.ascontiguousarray(astronaut[60:160, 180:260])
    assert used.enhance(face).tobytes() == fresh.enhance(face).tobytes()


def test_without_overlap_there_are_visible_seams(packs: dict[str, Path]) -> None:
    settings = Settings(enhance_pack=str(packs["bgr"]))
    pixels = noise(64, 64)

    difference = abs(enhance(settings, pixels, tile=32, overlap=0) - enhance(settings, pixels, tile=UNTILED))

    assert difference.max() > 10


@pytest.mark.parametrize("pack", ["bgr", "luma", "compact"])
def test_pixels_beyond_the_reach_do_not_change_the_result(packs: dict[str, Path], pack: str) -> None:
    spec = read_pack(packs[pack]).enhance
    net = EnhanceNet(spec)
    side = 2 * spec.reach + 1
    pixels = noise(side + 2, side + 2)
    other = pixels.copy()
    other[[0, -1]], other[:, [0, -1]] = 255 - other[[0, -1]], 255 - other[:, [0, -1]]

    middle = slice(3 * (spec.reach + 1), 3 * (spec.reach + 2))

    # Bicubic interpolation of chroma, beside a net for luma, reaches two pixels.
    first, second = (cv2.cvtColor(net.enhance(each), cv2.COLOR_BGR2GRAY) for each in (pixels, other))
    assert spec.reach < 2 or np.abs(first[middle, middle].astype(int) - second[middle, middle]).max() <= 1


def test_the_parts_of_a_pixel_are_in_the_right_places(luma: Settings) -> None:
    dark, bright = 100, 200
    pixels = np.full((5, 5, 3), dark, np.uint8)
    pixels[2, 2] = bright

    grey = enhance(luma, pixels)[..., 0]

    # The block of the bright pixel is darker everywhere but in its middle, because its neighbours are dark ...
    assert grey[7, 7] == bright
    assert (np.delete(grey[6:9, 6:9].ravel(), 4) == 175).all()
    # ... and the part of each neighbour beside it is slightly brighter.
    assert grey[5, 5] == grey[5, 7] == grey[7, 5] == grey[9, 7] == 125
    assert grey[4, 4] == grey[4, 7] == dark


def test_with_a_net_for_luma_chroma_is_interpolated_bicubically(luma: Settings) -> None:
    pixels = gradient(40, 60)

    found = cv2.cvtColor(enhance(luma, pixels).astype(np.uint8), cv2.COLOR_BGR2YCrCb)

    expected = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_BGR2YCrCb), (180, 120), interpolation=cv2.INTER_CUBIC)
    # Colours outside the RGB range become the nearest colour inside.
    assert np.abs(found[..., 1:].astype(int) - expected[..., 1:])[9:-9, 9:-9].mean() < 1


@pytest.mark.parametrize("size", [(70, 50), (1, 1), (3, 90)])
def test_a_uniform_grey_image_stays_uniform_up_to_its_edges(packs: dict[str, Path], size: tuple[int, int]) -> None:
    pixels = np.full((size[1], size[0], 3), 90, np.uint8)

    grey = enhance(Settings(enhance_pack=str(packs["compact"])), pixels, tile=32)

    assert np.abs(grey - 90).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_the_result_has_the_format_of_the_input(luma: Settings, kind: str) -> None:
    enhanced = Enhancer(luma).enhance(encode(gradient(20, 30), kind))

    stored = Image.open(io.BytesIO(enhanced.picture))
    assert (stored.format, stored.size) == (kind, (90, 60))
    assert (enhanced.format.upper(), enhanced.width, enhanced.height, enhanced.scale) == (kind, 90, 60, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_result_is_upright(luma: Settings, orientation: int) -> None:
    upright = gradient(24, 40)
    stored = encode(as_stored(upright, orientation), "PNG", exif=b"Exif\0\0" + exif(orientation))

    picture = Enhancer(luma).enhance(stored).picture

    assert np.array_equal(pixels_of(picture), enhance(luma, upright))
    assert not Image.open(io.BytesIO(picture)).getexif()


def test_transparent_pixels_become_white(luma: Settings) -> None:
    pixels = np.dstack([gradient(20, 20), np.zeros((20, 20), np.uint8)])

    picture = Enhancer(luma).enhance(png(pixels)).picture

    assert (pixels_of(picture)[3:-3, 3:-3] == 255).all()


def test_an_image_with_16_bits_per_channel_is_enhanced(luma: Settings) -> None:
    picture = Enhancer(luma).enhance(encode_16_bit(gradient(20, 30))).picture

    assert np.array_equal(pixels_of(picture), enhance(luma, gradient(20, 30)))


def test_an_image_above_the_pixel_limit_is_rejected(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, max_enhance_pixels=600))

    assert enhancer.enhance(png(gradient(20, 30))).width == 90
    with pytest.raises(ImageTooLarge, match="20 x 31 pixels; at most 600 in all"):
        enhancer.enhance(png(gradient(31, 20)))


@pytest.mark.parametrize(("kind", "longest"), [("PNG", 21_833), ("WEBP", 5_461)])
def test_a_side_too_long_for_the_format_of_the_result_is_rejected(luma: Settings, kind: str, longest: int) -> None:
    enhancer = Enhancer(luma)

    assert enhancer.enhance(encode(gradient(1, longest), kind)).width == 3 * longest
    with pytest.raises(ImageTooLarge, match=f"no side may be longer than {longest:,}"):
        enhancer.enhance(encode(gradient(1, longest + 1), kind))


@pytest.mark.parametrize(("data", "error"), [(b"", EmptyImage), (png(noise(30, 30))[:800], UndecodableImage)])
def test_bytes_that_are_no_image_are_rejected(luma: Settings, data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        Enhancer(luma).enhance(data)


def test_progress_is_called_before_the_first_tile_and_after_each(luma: Settings) -> None:
    calls: list[tuple[int, int]] = []

    Enhancer(replace(luma, tile=32)).enhance(png(noise(60, 60)), lambda done, tiles: calls.append((done, tiles)))

    assert calls == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_result_has_the_seconds_of_every_stage(luma: Settings) -> None:
    seconds = Enhancer(luma).enhance(png(noise(60, 60))).seconds

    assert set(seconds) == {"wait", "decode", "enlarge", "encode"}
    assert min(seconds.values()) >= 0


@pytest.mark.parametrize(
    ("changes", "tiles"),
    [
        # A net for luma with a reach of one pixel gets the smallest tiles that are chosen.
        ({}, 4),
        ({"tile": 120}, 1),
        ({"tile": 30}, 20),
        ({"overlap": 16}, 1),
        # The net needs 288 bytes per pixel.
        ({"overlap": 4, "tile_bytes": 2**20}, 6),
    ],
)
def test_tiles_are_sized_by_settings_overlap_and_memory(luma: Settings, changes: dict[str, Any], tiles: int) -> None:
    calls: list[int] = []

    Enhancer(replace(luma, **changes)).enhance(png(noise(120, 110)), lambda _, of: calls.append(of))

    assert calls[0] == tiles


def test_tiles_are_sized_by_the_pack(packs: dict[str, Path], tmp_path: Path) -> None:
    for file in packs["luma"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = tmp_path / "pack.toml"
    manifest.write_text(manifest.read_text() + "tile = 32\n")
    calls: list[int] = []

    Enhancer(Settings(enhance_pack=str(tmp_path))).enhance(png(noise(60, 60)), lambda _, of: calls.append(of))

    assert calls[0] == 4


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_of_a_large_tile_is_released(packs: dict[str, Path]) -> None:
    enhancer = Enhancer(Settings(enhance_pack=str(packs["bgr"]), tile=UNTILED))
    enhancer.enhance(png(noise(60, 60)))
    before = resident(os.getpid())
    reset_peak(os.getpid())

    enhancer.enhance(png(np.full((700, 700, 3), 127, np.uint8)))

    # In megabytes. A net that keeps the outputs of its layers has 200.
    assert peak(os.getpid()) - before > 250
    assert resident(os.getpid()) - before < 100


def test_a_tile_too_small_for_the_overlap_is_rejected(luma: Settings) -> None:
    with pytest.raises(SettingsError, match="VISAGE_TILE is 30; for an overlap of 8 it must be 32 or more"):
        Enhancer(replace(luma, tile=30, overlap=8))


def test_a_memory_limit_too_small_for_the_overlap_is_rejected(luma: Settings) -> None:
    with pytest.raises(SettingsError, match=r"VISAGE_TILE_BYTES is 1048576; for an overlap of 16 .* needs 1179648 or"):
        Enhancer(replace(luma, overlap=16, tile_bytes=2**20))

    assert Enhancer(replace(luma, overlap=16, tile_bytes=1179648)).enhance(png(noise(9, 9))).width == 27


def test_a_manifest_with_an_absurd_reach_is_rejected(packs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(packs["luma"], tmp_path / "luma")
    manifest = tmp_path / "luma" / "pack.toml"
    manifest.write_text(manifest.read_text().replace("reach = 1", "reach = 1000000"))

    with pytest.raises(PackError, match="reach is 1000000; it must be a whole number from 0 to 1024"):
        Enhancer(Settings(enhance_pack=str(tmp_path / "luma")))


def test_a_pack_without_a_super_resolution_net_is_rejected(tiny_pack: Path) -> None:
    with pytest.raises(PackError, match=r"The pack tiny has no super-resolution net; set VISAGE_SUPERRES_PACK"):
        Enhancer(Settings(enhance_pack=str(tiny_pack)))


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("scale = 3", "scale = 2", r"it makes \(1, 9, 1, 1\) of 1 x 1 pixels"),
        ('colour = "luma"', 'colour = "bgr"', "does not fit its manifest"),
    ],
)
def test_the_check_finds_a_manifest_that_does_not_fit_its_net(
    packs: dict[str, Path], tmp_path: Path, right: str, wrong: str, said: str
) -> None:
    for file in packs["luma"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pack.toml").write_text((tmp_path / "pack.toml").read_text().replace(right, wrong))

    with pytest.raises(PackError, match=said):
        Enhancer(Settings(enhance_pack=str(tmp_path))).check()


def test_files_that_are_no_net_are_rejected(packs: dict[str, Path], tmp_path: Path) -> None:
    spec = read_pack(packs["luma"]).enhance

    with pytest.raises(PackError, match="OpenCV cannot read"):
        EnhanceNet(replace(spec, weights=spec.prototxt or spec.weights))


def test_an_engine_enhances_in_its_slots(tiny_pack: Path, luma: Settings, tiny_png: bytes) -> None:
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


def test_the_enhancement_queue_is_half_as_long_as_the_photo_queue(luma: Settings, tiny_png: bytes) -> None:
    enhancer = Enhancer(replace(luma, queue=5, wait_seconds=60))
    rejected, finish = threading.Semaphore(0), threading.Event()

    def call() -> str:
        try:
            enhancer.enhance(tiny_png, lambda _done, _tiles: finish.wait(60))
        except QueueFull:
            rejected.release()
            return "rejected"
        return "enhanced"

    with ThreadPoolExecutor(6) as pool:
        calls = [pool.submit(call) for _ in range(6)]
        for _ in range(2):
            assert rejected.acquire(timeout=60)
        finish.set()
        outcomes = sorted(each.result() for each in calls)

    assert outcomes == ["enhanced"] * 4 + ["rejected"] * 2


def test_a_rejected_client_learns_when_to_retry(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, queue=0))
    rejected: list[QueueFull] = []

    def enhance_another(done: int, _tiles: int) -> None:
        with pytest.raises(QueueFull) as error:
            enhancer.enhance(png(noise(9, 9)))
        rejected.append(error.value)
        time.sleep(1.2 if done else 0)

    for _ in range(2):
        enhancer.enhance(png(noise(9, 9)), enhance_another)

    first, *_, last = rejected
    assert first.retry_after == 1
    assert str(first) == "Another image is being enhanced, and the queue is full; try again in 1 s."
    # The first image took longer than 1.2 seconds.
    assert last.retry_after >= 2


def test_a_client_that_waits_too_long_learns_when_to_retry(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, queue=2, wait_seconds=0.01))
    rejected: list[WaitTimeout] = []

    def enhance_another(done: int, _tiles: int) -> None:
        if done:
            with pytest.raises(WaitTimeout) as error:
                enhancer.enhance(png(noise(9, 9)))
            rejected.append(error.value)

    enhancer.enhance(png(noise(9, 9)), enhance_another)

    assert "Another image is being enhanced, and it did not finish in time" in str(rejected[0])


def test_the_net_runs_in_a_slot_only(luma: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)
    enhancer = Enhancer(replace(luma, tile=32), admission)
    infer, in_slot = EnhanceNet._infer, []

    def watched(net: EnhanceNet, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        in_slot.append(admission.busy)
        return infer(net, blob)

    monkeypatch.setattr(EnhanceNet, "_infer", watched)
    enhancer.enhance(png(noise(60, 60)))

    # The first input for Winograd's transform, four tiles, and the one pixel that releases the memory of a tile.
    assert in_slot == [True] * 6


def test_one_image_is_enhanced_at_a_time_beside_photos(tiny_pack: Path, luma: Settings, tiny_png: bytes) -> None:
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


def test_the_slot_is_free_between_two_tiles(luma: Settings) -> None:
    admission = Admission(slots=1, queue=0, wait_seconds=0)
    order: list[str] = []

    def photo_passes(done: int, _tiles: int) -> None:
        with admission.slot():
            order.append(f"a photo after tile {done}")

    Enhancer(replace(luma, tile=32), admission).enhance(png(noise(60, 60)), photo_passes)

    assert order == [f"a photo after tile {done}" for done in (0, 1, 2, 3, 4)]


def test_waiting_photos_get_the_slot_between_two_tiles(luma: Settings) -> None:
    admission = Admission(slots=1, queue=100, wait_seconds=60)
    order: list[str] = []

    def photo() -> None:
        with admission.slot():
            order.append("photo")

    def photo_passes(done: int, _tiles: int) -> None:
        order.append(f"tile {done}")
        if done == 1:
            # Three photos join the queue behind this slot, and the next tile joins behind them.
            with admission.slot():
                for _ in range(3):
                    pool.submit(photo)
                end = time.monotonic() + 30
                while admission.waiting < 3 and time.monotonic() < end:
                    time.sleep(0.001)

    with ThreadPoolExecutor(3) as pool:
        Enhancer(replace(luma, tile=32), admission).enhance(png(noise(60, 60)), photo_passes)

    assert order == ["tile 0", "tile 1", "photo", "photo", "photo", "tile 2", "tile 3", "tile 4"]


def test_an_exception_of_progress_ends_the_work_and_releases_the_slot(luma: Settings) -> None:
    enhancer = Enhancer(replace(luma, tile=32, queue=0, wait_seconds=0))

    def interrupt(_done: int, _tiles: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhancer.enhance(png(noise(60, 60)), interrupt)

    assert enhancer.enhance(png(noise(60, 60))).width == 180


def test_the_bundled_pack_replaces_one_of_its_name_without_a_super_resolution_net(tmp_path: Path) -> None:
    own = tmp_path / "compact"
    shutil.copytree(BUNDLED_MODELS / "compact", own)
    manifest = (own / "pack.toml").read_text()
    (own / "pack.toml").write_text(manifest[: manifest.index("[superres]")])

    engine = Engine(Settings(models_dir=tmp_path))

    assert engine.pack.folder == own
    assert engine.enhancer.pack.folder == BUNDLED_MODELS / "compact"
