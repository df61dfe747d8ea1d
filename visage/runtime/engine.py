"""The slots: as many analyzers as may work at once, behind a semaphore. Usable as a library, without HTTP.

with open("photo.jpg", "rb") as file:
    analysis = Engine().analyze(file.read())
"""

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

import cv2
import numpy as np

from visage.anonymize.masks import redact
from visage.anonymize.options import AnonymizeOptions
from visage.anonymize.plan import plan_redaction
from visage.anonymize.results import Anonymized
from visage.enhance.results import Enhanced
from visage.enhance.tiles import Progress, no_progress
from visage.faces.analyzer import Analyzer, Options, decode_for
from visage.faces.annotation import annotate
from visage.faces.face import Face
from visage.faces.results import Analysis
from visage.images.decoding import Photo, decode, inspect
from visage.images.encoding import encode_as, encode_jpeg
from visage.images.headers import ImageHeader
from visage.nets.caffe_layers import use_fast_layers
from visage.packs.pack import find_pack
from visage.runtime.admission import Admission
from visage.runtime.allocator import release_memory
from visage.runtime.enhancer import Enhancer
from visage.runtime.result_cache import open_cache
from visage.settings import BUNDLED_MODELS, Settings
from visage.timings import Timings

__all__ = ["RECYCLE_AFTER_PHOTOS", "Analysis", "Engine"]

# After so many, a process with an engine that wears out is better replaced: nine answers of such layers for a photo of
# two faces (the nets of the literature) are 640 bytes, so 13 MB.
RECYCLE_AFTER_PHOTOS = 20_000

# From this many seconds without work on, memory that is free goes back to the system, 10 MB of a worker. Not sooner,
# because the next photo finds fresh pages in its place: 5 to 10 ms beside its 21 (benchmarks/README.md).
_REST_SECONDS = 5.0


class Engine:
    """Loads a pack's nets once a slot and answers photos with them, from as many threads as you like."""

    def __init__(self, settings: Settings | None = None, *, eager: bool = True) -> None:
        """Load the packs that `settings` name; unless `eager`, only the nets that find faces, and others when needed.

        Raises:
            PackError: a pack is missing, incomplete, altered or not what its manifest says.
            SettingsError: the cache or the tiles that they ask for cannot be had.
        """
        self.settings = settings or Settings()
        self.pack = find_pack(self.settings.pack, self.settings.models_dir)
        self.cache = open_cache(self.settings, self.pack)
        self.admission = Admission(self.settings.slots, self.settings.queue, self.settings.wait_seconds)
        # Some memory is lost with every photo: 71 bytes for every answer of a layer in Python, by OpenCV.
        texts = [spec.prototxt.read() for spec in (self.pack.face, self.pack.gender, self.pack.age)]
        self.leaks_memory = any(use_fast_layers(text) != text for text in texts)
        self.ready = False
        self._given_back: float | None = None
        # Always by the small net: a large one would keep a slot for minutes, for a crowd.
        small = find_pack("compact", BUNDLED_MODELS).enhance
        self._analyzers = [Analyzer(self.pack, small, eager=eager) for _ in range(self.settings.slots)]
        # Those that nobody has; the admission lets in no more callers than there are.
        self._free: queue.SimpleQueue[Analyzer] = queue.SimpleQueue()
        for analyzer in self._analyzers:
            self._free.put(analyzer)
        if eager:
            _ = self.enhancer

    @cached_property
    def enhancer(self) -> Enhancer:
        """What enlarges pictures, in the same slots."""
        return Enhancer(self.settings, self.admission)

    def check(self) -> None:
        """Run every net once: a pack that does not fit its manifest is found before anything is served.

        Weights are laid out by this as the processor wants them. Processes that are forked afterwards share them.

        Raises:
            PackError: the nets do not run as their manifest says.
        """
        # One thread: the process may fork after this, and OpenCV's other threads would be missing in its children.
        cv2.setNumThreads(1)
        for analyzer in self._analyzers:
            analyzer.check()
        self.enhancer.check()

    def warm_up(self) -> None:
        """Run every net of every slot, and the JPEG encoder and decoder, so that the first ordinary photo is not slow.

        To be called before the first photo, and again in each process that was forked since.

        Raises:
            PackError: the nets do not run as their manifest says.
        """
        # One thread, for the same reason.
        cv2.setNumThreads(1)
        for analyzer in self._analyzers:
            analyzer.warm_up()
        blank = encode_jpeg(np.full((600, 800, 3), 127, np.uint8), self.settings.jpeg_quality)
        decode(blank, inspect(blank, max_pixels=800 * 600))
        self.ready = True

    def release_idle_memory(self) -> None:
        """Once no photo has been worked on for five seconds, give back the memory that it took. Call it now and then.

        What the warm-up made ready stays until the first photo has used it.
        """
        since = self.admission.idle_since
        if since is not None and since != self._given_back and time.monotonic() - since > _REST_SECONDS:
            self._given_back = since
            release_memory()

    def analyze(self, data: bytes, options: Options | None = None, *, annotated: bool = True) -> Analysis:
        """The faces in the bytes of a JPEG, PNG, WebP or BMP; with `annotated`, the picture with the faces marked too.

        An answer that the cache knows takes no slot and no wait.

        Raises:
            RequestError: the bytes are no picture, too large a picture or a damaged one.
            BusyError: every slot is taken, and too many wait or the wait took too long.
        """
        options = options or Options()
        # Before the cache too: what it knows may come from a worker with other limits.
        header = inspect(data, self.settings.max_image_pixels)
        if self.cache is None:
            return self._work(data, header, options, annotated=annotated)
        timings = Timings()
        key = self.cache.key(data, options, annotated=annotated)
        known = self.cache.get(key)
        timings.record("cache")
        if known is not None:
            return replace(known, seconds=timings.seconds)
        analysis = self._work(data, header, options, annotated=annotated)
        self.cache.put(key, analysis)
        return replace(analysis, seconds={**timings.seconds, **analysis.seconds})

    def anonymize(self, data: bytes, options: AnonymizeOptions | None = None) -> Anonymized:
        """A copy of a JPEG, PNG, WebP or BMP with its faces covered, in the same format and size, upright.

        Nothing of the file but its pixels is taken over; transparency is laid on white, because what it hides could be
        a face.

        Raises:
            RequestError: the bytes are no picture, too large a picture or a damaged one.
            BusyError: every slot is taken, and too many wait or the wait took too long.
        """
        options = options or AnonymizeOptions()
        header = inspect(data, self.settings.max_image_pixels)
        with self._slot() as (analyzer, waited):
            timings = Timings()
            photo = decode(data, header)
            timings.record("decode")
            plan = plan_redaction(analyzer, photo, options)
            timings.record("detect")
            redacted = redact(photo.pixels, plan.boxes, options.mask)
            timings.record("cover")
            picture = encode_as(header.format, redacted)
            timings.record("encode")
        seconds = timings.seconds | {"wait": waited}
        return Anonymized(photo.width, photo.height, header.format, plan.faces, picture, seconds)

    def enhance(self, data: bytes, progress: Progress = no_progress) -> Enhanced:
        """A picture enlarged by the net of `VISAGE_SUPERRES_PACK`, as `Enhancer.enhance` does it, in these slots."""
        return self.enhancer.enhance(data, progress)

    def _work(self, data: bytes, header: ImageHeader, options: Options, *, annotated: bool) -> Analysis:
        """Answer a photo in a slot."""
        with self._slot() as (analyzer, waited):
            timings = Timings()
            photo = decode_for(options.detail, data, header)
            timings.record("decode")
            faces = analyzer.analyze(photo, options, timings)
            picture = self._annotate(photo, faces, timings) if annotated else None
        return Analysis(photo.width, photo.height, faces, picture, photo.scale, timings.seconds | {"wait": waited})

    @contextmanager
    def _slot(self) -> Iterator[tuple[Analyzer, float]]:
        """Hold a slot: its analyzer, and the seconds that were waited for it."""
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
