"""Pictures enlarged under a memory limit, one at a time. Usable as a library, without HTTP and without nets for faces.

with open("photo.jpg", "rb") as file:
    enhanced = Enhancer(Settings()).enhance(file.read())
"""

import math

import cv2

from visage.admission import Admission
from visage.enlarge import Enhanced, Progress, enlarge
from visage.errors import SettingsError
from visage.images import decode, encode_as, inspect
from visage.packs import find_pack
from visage.settings import Settings
from visage.stopwatch import Stopwatch
from visage.superres_net import SuperresNet
from visage.tiles import cut

# A tile's side over its overlap, where nobody knows better: a tile amid others is shown an eighth more pixels than it
# keeps.
_SIDE_OVER_OVERLAP = 30

# The least of it, whatever memory there is: what is shown of a smaller tile is mostly its neighbours.
_LEAST_OVER_OVERLAP = 4

# The least side that is chosen, in pixels: below it a net's layers cost more than what they work on.
_LEAST_SIDE = 64


class Enhancer:
    """One net, for one picture at a time, which gives its slot away between two tiles to whoever waits for one."""

    def __init__(self, settings: Settings, admission: Admission | None = None) -> None:
        """Load the net of the pack that `settings` name; with `admission`, work in its slots.

        Raises:
            PackError: the pack is missing, incomplete, altered or not what its manifest says, or does not enlarge.
            SettingsError: the tile is too small for the overlap.
        """
        self.pack = find_pack(settings.superres_pack, settings.models_dir)
        self._settings = settings
        self._admission = admission or Admission(1, settings.queue, settings.wait_seconds)
        self._line = Admission(1, settings.queue, settings.wait_seconds)
        self._net = SuperresNet(self.pack.superres)
        self._overlap = self._net.overlap if settings.overlap is None else settings.overlap
        self._margin = min(self._net.padding, self._overlap)
        least = _LEAST_OVER_OVERLAP * self._overlap
        self._side = settings.tile or self._chosen_side()
        if self._side < least:
            raise SettingsError(
                f"VISAGE_TILE is {self._side}; for an overlap of {self._overlap} it must be {least} or more."
            )

    def check(self) -> None:
        """Run the net once, on as little as it takes.

        Raises:
            PackError: the net does not run as its manifest says.
        """
        self._net.check()

    def enhance(self, data: bytes, progress: Progress | None = None) -> Enhanced:
        """A JPEG, PNG, WebP or BMP enlarged, in the same format, upright; `progress` is told after every tile.

        Nothing of the file but its pixels is taken over; transparency is laid on white. What `progress` raises ends it.

        Raises:
            RequestError: the bytes are no picture, a damaged one, or one that would become too large.
            BusyError: another picture is being enlarged or every slot is taken, and too many wait or for too long.
        """
        header = inspect(data, self._settings.max_enhance_pixels, self._net.scale)
        with self._line.slot() as stood, self._admission.slot() as waited:
            cv2.setNumThreads(self._settings.opencv_threads)
            waits = [stood, waited]

            def give_way(done: int, tiles: int) -> None:
                if progress:
                    progress(done, tiles)
                if done < tiles:
                    waits.append(self._admission.give_way())

            stopwatch = Stopwatch()
            photo = decode(data, header)
            stopwatch.lap("decode")
            tiles = cut(photo.width, photo.height, self._side, self._overlap, self._margin)
            try:
                enlarged = enlarge(self._net, photo.pixels, tiles, self._margin, give_way)
            finally:
                self._net.let_go()
            stopwatch.lap("enlarge")
            picture = encode_as(header.format, enlarged)
            stopwatch.lap("encode")
        seconds = stopwatch.seconds
        seconds |= {"enlarge": seconds["enlarge"] - sum(waits[2:]), "wait": sum(waits)}
        height, width = enlarged.shape[:2]
        return Enhanced(width, height, header.format, self._net.scale, picture, seconds)

    def _chosen_side(self) -> int:
        """What the net is fastest with, or what the overlap makes worth its while, as far as there is memory for it."""
        most = math.isqrt(self._settings.tile_bytes // self._net.bytes_a_pixel())
        best = self._net.tile or max(_LEAST_SIDE, _SIDE_OVER_OVERLAP * self._overlap)
        return max(min(most, best), _LEAST_OVER_OVERLAP * self._overlap)
