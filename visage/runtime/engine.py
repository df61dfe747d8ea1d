"""The engine: one analyzer per slot, and admission that hands out the slots. Usable as a library, without HTTP.

with open("photo.jpg", "rb") as file:
    analysis = Engine().analyze(file.read())
"""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.anonymize.masks import redact
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.plan import plan_redaction
from visage.anonymize.results import Anonymized
from visage.directories import BUNDLED_MODELS
from visage.enhance.results import Enhanced, EnhanceOptions
from visage.enhance.steps import Progress, Steps, no_progress
from visage.errors import ImageTooLarge, Limit
from visage.faces.analyzer import AnalyzeOptions, Analyzer, decode_for, inspect_for
from visage.faces.annotation import annotate
from visage.faces.face import Face
from visage.faces.results import Analysis
from visage.images.decoding import Photo, decode, decode_16_bit, inspect
from visage.images.encoding import encode_jpeg, encode_like, written_format
from visage.images.headers import ImageHeader
from visage.nets.caffe_layers import use_fast_layers
from visage.packs.pack import find_pack
from visage.runtime.admission import Admission
from visage.runtime.allocator import release_memory
from visage.runtime.enhancer import Enhancer
from visage.runtime.result_cache import open_cache
from visage.settings import Settings
from visage.timings import Timings

__all__ = ["RECYCLE_AFTER_PHOTOS", "Analysis", "Engine"]

# After this many photos a process should be replaced if its engine leaks memory. A photo of two faces, with the nets of
# `classic`, runs nine layers that leak and loses 640 bytes, so the process loses 13 MB.
RECYCLE_AFTER_PHOTOS = 20_000

# After this many seconds without work, free memory is returned to the system: 10 MB per worker. Not sooner, because the
# next photo then needs fresh pages, which take 5 to 10 ms beside its 21 (docs/decisions.md, Memory).
_IDLE_SECONDS = 5.0


class Engine:
    """Loads the nets of a pack once per slot, and processes photos with them. Any number of threads may call it."""

    def __init__(self, settings: Settings | None = None, *, eager: bool = True) -> None:
        """Load the packs that `settings` select. Unless `eager`, load only the detector, and other nets at first use.

        Raises:
            PackError: a pack is missing, incomplete or altered, or does not fit its manifest.
            SettingsError: the settings of the cache or of the tiles cannot be used.
        """
        self.settings = settings or Settings()
        self.pack = find_pack(self.settings.pack, self.settings.models_dir)
        # Small faces always use the small net: with a large one a crowd would hold a slot for minutes.
        enhance_spec = find_pack("compact", BUNDLED_MODELS).enhance
        self.cache = open_cache(self.settings, self.pack, enhance_spec)
        self.admission = Admission(self.settings.slots, self.settings.queue, self.settings.wait_seconds)
        # OpenCV leaks 71 bytes for every output of a layer in Python.
        texts = [spec.prototxt.read() for spec in (self.pack.face, self.pack.gender, self.pack.age)]
        self.leaks_memory = any(use_fast_layers(text) != text for text in texts)
        self.ready = False
        self._released: float | None = None
        self._analyzers = [Analyzer(self.pack, enhance_spec, eager=eager) for _ in range(self.settings.slots)]
        # The analyzers that are not in use. Admission lets in no more callers than there are analyzers.
        self._free: queue.SimpleQueue[Analyzer] = queue.SimpleQueue()
        for analyzer in self._analyzers:
            self._free.put(analyzer)
        self._enhancer: Enhancer | None = None
        self._enhancer_lock = threading.Lock()
        if eager:
            _ = self.enhancer

    @property
    def enhancer(self) -> Enhancer:
        """Enhances images in the same slots. The first use loads its net."""
        with self._enhancer_lock:
            if self._enhancer is None:
                self._enhancer = Enhancer(self.settings, self.admission)
            return self._enhancer

    def check(self) -> None:
        """Run every net once, to find a pack that does not fit its manifest before the service starts.

        This also rearranges the weights for the processor. Processes that are forked afterwards share them.

        Raises:
            PackError: a net does not fit its manifest.
        """
        # One thread: the process may fork after this, and its children would lack OpenCV's other threads.
        cv2.setNumThreads(1)
        for analyzer in self._analyzers:
            analyzer.check()
        self.enhancer.check()

    def warm_up(self) -> None:
        """Run every net of every slot, and the JPEG encoder and decoder, so that the first photo is not slow.

        Call it before the first photo, and again in each process that is forked later.

        Raises:
            PackError: a net does not fit its manifest.
        """
        # One thread, for the same reason.
        cv2.setNumThreads(1)
        for analyzer in self._analyzers:
            analyzer.warm_up()
        blank = encode_jpeg(np.full((600, 800, 3), 127, np.uint8), self.settings.jpeg_quality)
        decode(blank, inspect(blank, max_pixels=800 * 600))
        self.ready = True

    def release_idle_memory(self) -> None:
        """Return free memory to the system, once, after five seconds without a photo. Call it regularly.

        The memory of the warm-up is kept until the first photo has used it.
        """
        since = self.admission.idle_since
        if since is not None and since != self._released and time.monotonic() - since > _IDLE_SECONDS:
            self._released = since
            release_memory()

    def analyze(self, data: bytes, options: AnalyzeOptions | None = None, *, annotated: bool = True) -> Analysis:
        """Find and describe the faces in an encoded photo. With `annotated`, also draw them.

        A cached result needs no slot.

        Raises:
            RequestError: the bytes are not an image, damaged, or the image is too large.
            BusyError: every slot is held, and the queue is full or the wait was too long.
        """
        options = options or AnalyzeOptions()
        # Checked before the cache, whose results may come from a worker with other limits.
        limits = self.settings
        header = inspect_for(options.detail, data, limits.max_image_pixels, limits.max_decode_bytes)
        if self.cache is None:
            return self._analyze_in_slot(data, header, options, annotated=annotated)
        timings = Timings()
        key = self.cache.key(data, options, annotated=annotated)
        cached = self.cache.get(key)
        timings.record("cache")
        if cached is not None:
            return replace(cached, seconds=timings.seconds)
        analysis = self._analyze_in_slot(data, header, options, annotated=annotated)
        self.cache.put(key, analysis)
        return replace(analysis, seconds={**timings.seconds, **analysis.seconds})

    def anonymize(self, data: bytes, options: AnonymizeOptions | None = None) -> Anonymized:
        """Redact the faces in an encoded photo. The result has the same size, upright, and the same format.

        HEIC and AVIF become JPEG, and TIFF becomes PNG. The result has no metadata, and transparent pixels become
        white, because the hidden colours could show a face. Outside the masks, PNG, BMP and WebP without loss keep
        every pixel, and a JPEG is coded as finely as it was.

        Raises:
            RequestError: the bytes are not an image, damaged, or the image is too large; or a box of `cover` is outside
                the photo.
            BusyError: every slot is held, and the queue is full or the wait was too long.
        """
        options = options or AnonymizeOptions()
        header = self._inspect_to_redact(data)
        with self._slot() as (analyzer, waited):
            timings = Timings()
            photo = decode(data, header)
            timings.record("decode")
            plan = plan_redaction(analyzer, photo, options)
            timings.record("detect")
            deep: NDArray[Any] | None = decode_16_bit(data, header, self.settings.max_decode_bytes)
            redacted = redact(photo.pixels if deep is None else deep, plan.boxes, options.mask)
            timings.record("cover")
            # The encoder needs memory of its own.
            width, height, depth = photo.width, photo.height, 8 * redacted.itemsize
            del photo, deep
            picture = encode_like(data, header, redacted)
            timings.record("encode")
        return Anonymized(
            width,
            height,
            written_format(header.format),
            plan.faces,
            picture,
            timings.seconds | {"wait": waited},
            depth,
            header.format,
            plan.cover,
            plan.min_confidence,
        )

    def enhance(self, data: bytes, progress: Progress = no_progress, options: EnhanceOptions | None = None) -> Enhanced:
        """Enhance an image as `Enhancer.enhance` does, in the slots of this engine."""
        return self.enhancer.enhance(data, progress, options)

    def enhance_in_steps(self, data: bytes, options: EnhanceOptions | None = None) -> Steps[Enhanced]:
        """Enhance an image as `Enhancer.enhance_in_steps` does, in the slots of this engine."""
        return self.enhancer.enhance_in_steps(data, options)

    def _inspect_to_redact(self, data: bytes) -> ImageHeader:
        settings = self.settings
        try:
            return inspect(data, settings.max_redacted_pixels, max_bytes=settings.max_decode_bytes)
        except ImageTooLarge as error:
            if error.limit is Limit.IMAGE_PIXELS and settings.max_anonymize_pixels < settings.max_image_pixels:
                error.limit = Limit.PIXELS
            raise

    def _analyze_in_slot(
        self, data: bytes, header: ImageHeader, options: AnalyzeOptions, *, annotated: bool
    ) -> Analysis:
        with self._slot() as (analyzer, waited):
            timings = Timings()
            photo = decode_for(options.detail, data, header)
            timings.record("decode")
            faces = analyzer.analyze(photo, options, timings)
            picture = self._annotate(photo, faces, timings) if annotated else None
        return Analysis(photo.width, photo.height, faces, picture, photo.scale, timings.seconds | {"wait": waited})

    @contextmanager
    def _slot(self) -> Iterator[tuple[Analyzer, float]]:
        """Hold a slot; yields its analyzer and the seconds of the wait."""
        with self.admission.slot() as waited:
            analyzer = self._free.get()
            try:
                cv2.setNumThreads(self.settings.opencv_threads)
                yield analyzer, waited
            finally:
                self._free.put(analyzer)

    def _annotate(self, photo: Photo, faces: tuple[Face, ...], timings: Timings) -> bytes:
        drawn = annotate(photo.pixels, faces, photo.scale, in_place=True)
        timings.record("annotate")
        picture = encode_jpeg(drawn, self.settings.jpeg_quality)
        timings.record("encode")
        return picture
