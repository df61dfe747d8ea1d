"""Pictures enlarged under a memory limit, one at a time. Usable as a library, without HTTP and without nets for faces.

with open("photo.jpg", "rb") as file:
    enhanced = Enhancer(Settings()).enhance(file.read())
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import cv2

from visage.enhance.net import EnhanceNet
from visage.enhance.results import Enhanced
from visage.enhance.tiles import Progress, cut, enlarge, no_progress
from visage.errors import BusyError, QueueFull, SettingsError
from visage.images.decoding import decode, inspect
from visage.images.encoding import encode_as
from visage.packs.pack import Pack, find_pack
from visage.runtime.admission import Admission
from visage.settings import BUNDLED_MODELS, Settings
from visage.timings import Timings

# A tile's side over its overlap, where nobody knows better: a tile amid others is shown an eighth more pixels than it
# keeps.
_SIDE_OVER_OVERLAP = 30

# The least of it, whatever memory there is: what is shown of a smaller tile is mostly its neighbours.
_LEAST_OVER_OVERLAP = 4

# The least side that is chosen, in pixels: below it a net's layers cost more than what they work on.
_LEAST_SIDE = 64


class Enhancer:
    """One net, for one picture at a time.

    Each tile takes a slot, like a photo, when its turn comes: photos go in between, and two slots are never both at
    work on enlargements. As many pictures wait for their turn as half of the photos that may wait for a slot.
    """

    def __init__(self, settings: Settings, admission: Admission | None = None) -> None:
        """Load the net of the pack that `settings` name; with `admission`, work in its slots.

        Raises:
            PackError: the pack is missing, incomplete, altered or not what its manifest says, or does not enlarge.
            SettingsError: the tile, or the memory for it, is too small for the overlap.
        """
        self.pack = find_enhance_pack(settings)
        self._settings = settings
        self._admission = admission or Admission(1, settings.queue, settings.wait_seconds)
        self._line = Admission(1, (settings.queue + 1) // 2, settings.wait_seconds)
        self._net = EnhanceNet(self.pack.enhance)
        self._overlap = self._net.overlap if settings.overlap is None else settings.overlap
        self._margin = min(self._net.padding, self._overlap)
        self._least_side = max(1, _LEAST_OVER_OVERLAP * self._overlap)
        self._side = settings.tile or self._chosen_side()
        if self._side < self._least_side:
            raise SettingsError(
                f"VISAGE_TILE is {self._side}; for an overlap of {self._overlap} it must be {self._least_side} or more."
            )
        # What the last picture took, from its turn on: all that is known of those to come. At first nothing is.
        self.expected_seconds = 0.0

    def check(self) -> None:
        """Run the net once, on as little as it takes.

        Raises:
            PackError: the net does not run as its manifest says.
        """
        self._net.check()

    def enhance(self, data: bytes, progress: Progress = no_progress) -> Enhanced:
        """A JPEG, PNG, WebP or BMP enlarged, in the same format, upright; `progress` is told after every tile.

        It is told before the first, too, and what it raises ends it. Nothing of the file but its pixels is taken over;
        transparency is laid on white.

        Raises:
            RequestError: the bytes are no picture, a damaged one, or one that would become too large.
            BusyError: another picture is being enlarged, and too many wait for that or for too long.
        """
        most = min(self._settings.max_enhance_pixels, self._settings.max_image_pixels)
        header = inspect(data, most, self._net.scale)
        with self._only_one() as stood:
            waits = [stood]
            turn = partial(self._turn, waits)
            timings = Timings()
            with turn():
                photo = decode(data, header)
            timings.record("decode")
            tiles = cut(photo.width, photo.height, self._side, self._overlap, self._margin)
            try:
                enlarged = enlarge(self._net, photo.pixels, tiles, self._margin, turn=turn, progress=progress)
            finally:
                with turn():
                    self._net.let_go()
            timings.record("enlarge")
            # In no slot: for 50 megapixels of WebP this takes 14 s, and no photo is to wait for that.
            picture = encode_as(header.format, enlarged)
            timings.record("encode")
        _, first, *later = waits
        seconds = timings.seconds
        self.expected_seconds = sum(seconds.values())
        seconds["decode"] -= first
        seconds["enlarge"] -= sum(later)
        height, width = enlarged.shape[:2]
        return Enhanced(width, height, header.format, self._net.scale, picture, seconds | {"wait": sum(waits)})

    @contextmanager
    def _only_one(self) -> Iterator[float]:
        """Be the one whose picture is enlarged; yields the seconds that were waited for that."""
        with ExitStack() as stack:
            try:
                stood = stack.enter_context(self._line.slot())
            except BusyError as error:
                raise self._busy(error) from None
            yield stood

    def _busy(self, error: BusyError) -> BusyError:
        """The same of pictures that are enlarged, which take longer than photos."""
        seconds = max(1, math.ceil(self.expected_seconds * (1 + self._line.waiting)))
        reason = "as many wait as may" if isinstance(error, QueueFull) else "that did not come to its end in time"
        return type(error)(f"Another picture is being enlarged, and {reason}; try again in {seconds} s.", seconds)

    @contextmanager
    def _turn(self, waits: list[float]) -> Iterator[None]:
        """Hold a slot, after whoever waits for one by now."""
        with self._admission.slot(background=True) as waited:
            waits.append(waited)
            cv2.setNumThreads(self._settings.opencv_threads)
            yield

    def _chosen_side(self) -> int:
        """What the net is fastest with, or what the overlap makes worth its while, as far as there is memory for it."""
        most = math.isqrt(self._settings.tile_bytes // self._net.bytes_a_pixel())
        if most < self._least_side:
            needed = self._least_side**2 * self._net.bytes_a_pixel()
            raise SettingsError(
                f"VISAGE_TILE_BYTES is {self._settings.tile_bytes}; for an overlap of {self._overlap} the net of "
                f"{self.pack.name} needs {needed} or more. Give it that, or a smaller VISAGE_OVERLAP."
            )
        best = self._net.tile or max(_LEAST_SIDE, _SIDE_OVER_OVERLAP * self._overlap)
        return max(min(most, best), self._least_side)


def find_enhance_pack(settings: Settings) -> Pack:
    """The pack that `settings` name; by default that of the repo, even if one of that name stands before it.

    Raises:
        PackError: it is missing, badly described or does not enlarge.
    """
    pack = find_pack(settings.enhance_pack, settings.models_dir)
    if pack.enhancement is None and settings.enhance_pack == Settings.enhance_pack:
        pack = find_pack(settings.enhance_pack, BUNDLED_MODELS)
    # Asked for now, so that one that does not enlarge is found by whoever starts, not by the first picture.
    _ = pack.enhance
    return pack
