"""Enhance images within a memory limit, one at a time. Usable as a library, without HTTP and without nets for faces.

with open("photo.jpg", "rb") as file:
    enhanced = Enhancer(Settings()).enhance(file.read())
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import partial

import cv2

from visage.directories import BUNDLED_MODELS
from visage.enhance.net import EnhanceNet
from visage.enhance.results import SCALES, Enhanced, EnhanceOptions
from visage.enhance.steps import Progress, Steps, finish, no_progress
from visage.enhance.tiling import Tiling, enhance_in_tiles
from visage.errors import BadParameter, BusyError, ImageTooLarge, Limit, QueueFull, SettingsError
from visage.images.decoding import decode, inspect, max_side
from visage.images.encoding import encode_as, written_format
from visage.images.headers import ImageHeader, read_header
from visage.packs.pack import Pack, find_pack
from visage.runtime.admission import Admission
from visage.settings import Settings
from visage.timings import Timings

# The side of a tile divided by the overlap, unless settings or pack set the side: a tile inside an image then has an
# eighth more pixels than its kept part.
_SIDE_PER_OVERLAP = 30

# The smallest ratio, whatever the memory limit: in smaller tiles most pixels belong to their neighbours.
_MIN_SIDE_PER_OVERLAP = 4

# The smallest side that is chosen, in pixels: below it, the overhead of the layers exceeds their work.
_MIN_SIDE = 64


class Enhancer:
    """One net, for one image at a time.

    Each tile takes a slot in the order of arrival, so photos are processed in between, and images never take two slots.
    The enhancement queue is half as long as the photo queue.
    """

    def __init__(self, settings: Settings, admission: Admission | None = None) -> None:
        """Load the net of the pack that `settings` select. With `admission`, use its slots.

        Raises:
            PackError: the pack is missing, incomplete, altered, does not fit its manifest, or has no such net.
            SettingsError: the tile, or the memory for it, is too small for the overlap.
        """
        self.pack = find_enhance_pack(settings)
        self._settings = settings
        self._slots = admission or Admission(1, settings.queue, settings.wait_seconds)
        self._images = Admission(1, (settings.queue + 1) // 2, settings.wait_seconds)
        self._net = EnhanceNet(self.pack.enhance)
        self._tiling = _tiling(settings, self.pack, self._net)
        # How long the last image took, without its time in the queue: the estimate for the next one. At first unknown.
        self.expected_seconds = 0.0

    def check(self) -> None:
        """Run the net on one pixel.

        Raises:
            PackError: the net does not fit its manifest.
        """
        self._net.check()

    def max_pixels(self, scale: float) -> int:
        """The largest image that is enlarged by `scale`, in pixels: as many as make a result of the same size."""
        return int(self.max_result_pixels / Fraction(scale) ** 2)

    def enhance(self, data: bytes, progress: Progress = no_progress, options: EnhanceOptions | None = None) -> Enhanced:
        """Enhance an encoded image. The result is upright and has the same format, HEIC and AVIF become JPEG, TIFF PNG.

        `progress` is called before the first tile and after each; an exception that it raises ends the work. The result
        has no metadata, and transparent pixels become white.

        Raises:
            BadParameter: the net cannot enlarge by the scale in `options`.
            ImageTooLarge: the result would be too large. `max_scale` is the largest scale that fits, if there is one.
            RequestError: the bytes are not an image, or damaged.
            BusyError: another image is being enhanced, and the queue is full or the wait was too long.
        """
        return finish(self.enhance_in_steps(data, options), progress)

    def enhance_in_steps(self, data: bytes, options: EnhanceOptions | None = None) -> Steps[Enhanced]:
        """Enhance an encoded image as `enhance` does, a tile a step.

        The first step raises the errors of `enhance`. The work holds its place in the queue until it is done or closed,
        so do not wait for anybody between two steps.
        """
        scale = self._scale(options or EnhanceOptions())
        header = self._inspect(data, scale)
        with self._image_slot() as waited:
            waits = [waited]
            slot = partial(self._slot, waits)
            timings = Timings()
            with slot():
                photo = decode(data, header)
            timings.record("decode")
            try:
                enhanced = yield from enhance_in_tiles(self._net, photo.pixels, self._tiling, scale=scale, slot=slot)
            finally:
                with slot():
                    self._net.release_memory()
            timings.record("enlarge")
            # The encoder needs memory of its own.
            del photo
            # Without a slot: 50 megapixels of WebP take 14 s, and photos must not wait for that.
            written = written_format(header.format)
            picture = encode_as(written, enhanced)
            timings.record("encode")
        _, decode_wait, *tile_waits = waits
        seconds = timings.seconds
        self.expected_seconds = sum(seconds.values())
        seconds["decode"] -= decode_wait
        seconds["enlarge"] -= sum(tile_waits)
        height, width = enhanced.shape[:2]
        return Enhanced(width, height, written, header.format, scale, picture, seconds | {"wait": sum(waits)})

    def _scale(self, options: EnhanceOptions) -> float:
        if options.scale is None:
            return self._net.scale
        if options.scale > self._net.scale:
            raise BadParameter(
                f"scale is {options.scale:g}; the net of {self.pack.name} enlarges {self._net.scale} times at most."
            )
        return options.scale

    @property
    def max_result_pixels(self) -> int:
        """The largest result, in pixels."""
        return self._net.scale**2 * self._settings.max_enhance_pixels

    def _inspect(self, data: bytes, scale: float) -> ImageHeader:
        """Read the header. The limit for the result is named first, because it is nearly always the smaller one.

        Raises:
            ImageTooLarge: the image is too large for any use, or for this scale.
            RequestError: the bytes are not an image, or its header is damaged.
        """
        try:
            header = inspect(data, self._settings.max_image_pixels, self._settings.max_decode_bytes)
        except ImageTooLarge:
            # At no scale does it fit.
            self._check_result(read_header(data), scale, smaller_scales=())
            raise
        self._check_result(header, scale, tuple(each for each in SCALES if each < scale))
        return header

    def _check_result(self, header: ImageHeader, scale: float, smaller_scales: tuple[float, ...]) -> None:
        """Raise ImageTooLarge, with the largest of the smaller scales that fits, if the result would be too large."""
        excess = self._excess(header, scale)
        if excess is None:
            return
        allowed, limit = excess
        fitting = [each for each in smaller_scales if self._excess(header, each) is None]
        offer = f", or choose scale={fitting[-1]:g}" if fitting else ""
        raise ImageTooLarge(
            f"The image has {header.width} x {header.height} pixels; {allowed} to be enlarged {scale:g} times. "
            f"Send a smaller version{offer}.",
            max(fitting, default=None),
            limit,
        )

    def _excess(self, header: ImageHeader, scale: float) -> tuple[str, Limit | None] | None:
        """The limit that the result would exceed, in words, and as that of a setting if it is one; None if it fits."""
        width, height = (math.ceil(scale * side) for side in header.upright_size)
        if width * height > self.max_result_pixels:
            return f"at most {self.max_pixels(scale):,} in all are accepted", Limit.PIXELS
        longest = max_side(header.format)
        if max(width, height) > longest:
            return f"no side may be longer than {int(longest / scale):,}", None
        return None

    @contextmanager
    def _image_slot(self) -> Iterator[float]:
        """Wait until no other image is being enhanced; yields the seconds of the wait."""
        with ExitStack() as stack:
            try:
                waited = stack.enter_context(self._images.slot())
            except BusyError as error:
                raise self._busy(error) from None
            yield waited

    def _busy(self, error: BusyError) -> BusyError:
        """The same error with the retry time of enhancements, which take longer than photos."""
        seconds = max(1, math.ceil(self.expected_seconds * (1 + self._images.waiting)))
        reason = "the queue is full" if isinstance(error, QueueFull) else "it did not finish in time"
        return type(error)(f"Another image is being enhanced, and {reason}; try again in {seconds} s.", seconds)

    @contextmanager
    def _slot(self, waits: list[float]) -> Iterator[None]:
        """Hold a slot in the background, and add the seconds of the wait to `waits`."""
        with self._slots.slot(background=True) as waited:
            waits.append(waited)
            cv2.setNumThreads(self._settings.opencv_threads)
            yield


def find_enhance_pack(settings: Settings) -> Pack:
    """The pack that `settings` select. The default is the bundled one, if a pack of its name has no such net.

    Raises:
        PackError: the pack is missing, has an invalid manifest, or has no super-resolution net.
    """
    pack = find_pack(settings.enhance_pack, settings.models_dir)
    if pack.enhancement is None and settings.enhance_pack == Settings.enhance_pack:
        pack = find_pack(settings.enhance_pack, BUNDLED_MODELS)
    # Raises here, at the start, rather than for the first image.
    _ = pack.enhance
    return pack


def _tiling(settings: Settings, pack: Pack, net: EnhanceNet) -> Tiling:
    """The tiles by settings, pack and memory limit, in this order of precedence."""
    overlap = net.overlap if settings.overlap is None else settings.overlap
    min_side = max(1, _MIN_SIDE_PER_OVERLAP * overlap)
    side = settings.tile
    if side is None:
        bytes_per_pixel = net.bytes_per_pixel()
        max_side = math.isqrt(settings.tile_bytes // bytes_per_pixel)
        if max_side < min_side:
            raise SettingsError(
                f"VISAGE_TILE_BYTES is {settings.tile_bytes}; for an overlap of {overlap} the net of {pack.name} needs "
                f"{min_side**2 * bytes_per_pixel} or more. Increase it, or decrease VISAGE_OVERLAP."
            )
        best_side = net.tile or max(_MIN_SIDE, _SIDE_PER_OVERLAP * overlap)
        side = max(min(max_side, best_side), min_side)
    if side < min_side:
        raise SettingsError(f"VISAGE_TILE is {side}; for an overlap of {overlap} it must be {min_side} or more.")
    return Tiling(side, overlap, min(net.padding, overlap))
