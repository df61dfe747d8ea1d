"""The super-resolution net: preprocess, forward, postprocess.

A `cv2.dnn.Net` keeps the blobs of its last forward pass, so one thread at a time may use it.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.packs.enhance_spec import EnhanceSpec

Pixels = NDArray[np.uint8]

# An attribute of TensorFlow's DepthToSpace, and the name that OpenCV's layer expects: one character shorter. The length
# of the new name is encoded in two bytes, which is valid protobuf, so that all lengths around it stay correct.
_BLOCK_SIZE, _BLOCKSIZE = b"\x0a\x0ablock_size", b"\x0a\x89\x00blocksize"

# How far, in pixels, the result of bicubic interpolation depends on the input.
_BICUBIC_REACH = 2

# Peak memory of the net in values per pixel, over the channels of its widest layer. Measured: 6 to 7.5 in FSRCNN, EDSR
# and plain convolutions of 32 channels.
_VALUES_PER_CHANNEL = 8

# The smallest input side, in pixels, for which OpenCV uses Winograd's transform (its convolution_layer.cpp).
_MIN_WINOGRAD_SIDE = 12


class EnhanceNet:
    """A net whose output is `scale` times as wide and high as its input."""

    def __init__(self, spec: EnhanceSpec) -> None:
        """Read the net.

        Raises:
            PackError: a file is missing or altered, or OpenCV cannot read it.
        """
        self._spec = spec
        self._net = _read_net(spec)
        self._is_prepared = False

    @property
    def scale(self) -> int:
        return self._spec.scale

    @property
    def overlap(self) -> int:
        """How many pixels of each neighbour a tile must include."""
        return self._spec.overlap if len(self._spec.mean) == 3 else max(_BICUBIC_REACH, self._spec.overlap)

    @property
    def padding(self) -> int:
        """How wide the border is, in pixels, that the net needs around the image."""
        return self._spec.padding

    @property
    def tile(self) -> int | None:
        """The side of the tiles, in pixels, with which the net is fastest. None if the pack does not say."""
        return self._spec.tile

    def bytes_per_pixel(self) -> int:
        """The peak memory of the net per input pixel.

        Raises:
            PackError: the input of the net is not what its manifest says.
        """
        sample = [1, len(self._spec.mean), 8, 8]
        try:
            _, _, outputs = self._net.getLayersShapes(sample)
        except cv2.error as error:
            raise self._mismatch(error.err.splitlines()[0]) from None
        widest = max(int(np.prod(shape)) for shapes in outputs for shape in shapes) / 64
        return int(_VALUES_PER_CHANNEL * np.float32().nbytes * widest)

    def check(self) -> None:
        """Enhance one pixel, to find a net that does not fit its manifest before the service starts.

        Raises:
            PackError: the net does not fit its manifest.
        """
        # Winograd's transform of the weights takes seconds for large nets.
        self._net.enableWinograd(useWinograd=False)
        self._is_prepared = True
        self.enhance(np.full((1, 1, 3), 127, np.uint8))
        # OpenCV 4.12 does not return to the transform once it was off.
        self._net = _read_net(self._spec)
        self._is_prepared = False

    def release_memory(self) -> None:
        """Free the memory of the last input, which the net keeps for another input of the same size."""
        self._infer(self._preprocess(np.zeros((1, 1, len(self._spec.mean)), np.uint8)))

    def enhance(self, pixels: Pixels) -> Pixels:
        """Enhance (h, w, 3) uint8 BGR pixels to (scale h, scale w, 3) uint8 BGR.

        If the net processes luma only, chroma is interpolated bicubically: the eye sees little detail in it.

        Raises:
            PackError: the output of the net has another shape.
        """
        if len(self._spec.mean) == 3:
            return self._enhance_bgr(pixels)
        height, width = pixels.shape[:2]
        ycrcb = cv2.cvtColor(pixels, cv2.COLOR_BGR2YCrCb)
        size = (width * self.scale, height * self.scale)
        # As floats, rounded once at the end. OpenCV's weights for bytes depend slightly on the position of a pixel
        # (without Intel's IPP), and an error of one in chroma becomes two in blue.
        enhanced: NDArray[np.float32] = cv2.resize(  # type: ignore[assignment]
            ycrcb.astype(np.float32), size, interpolation=cv2.INTER_CUBIC
        )
        luma = ycrcb[..., 0].astype(np.uint8, copy=False)
        enhanced[..., :1] = self._postprocess(self._infer(self._preprocess(luma)), (height, width))
        # Neutral chroma is 128 for bytes, but 0.5 (127.5 / 255) for floats.
        enhanced[..., 1:] -= 0.5
        enhanced /= 255
        cv2.cvtColor(enhanced, cv2.COLOR_YCrCb2BGR, dst=enhanced)
        enhanced *= 255
        return _as_bytes(enhanced)

    def _enhance_bgr(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        return _as_bytes(self._postprocess(self._infer(self._preprocess(pixels)), (height, width)))

    def _preprocess(self, pixels: Pixels) -> NDArray[np.float32]:
        blob: NDArray[np.float32] = cv2.dnn.blobFromImage(  # type: ignore[assignment]
            pixels, scalefactor=self._spec.white / 255, mean=self._spec.mean
        )
        return blob

    def _infer(self, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._is_prepared:
            # OpenCV 4.12 never uses Winograd's transform in a layer whose first input was smaller than 12 pixels.
            self._is_prepared = True
            self._infer(np.zeros((1, len(self._spec.mean), _MIN_WINOGRAD_SIDE, _MIN_WINOGRAD_SIDE), np.float32))
        self._net.setInput(blob)
        try:
            output: NDArray[np.float32] = self._net.forward()  # type: ignore[assignment]
        except cv2.error as error:
            raise self._mismatch(error.err.splitlines()[0]) from None
        return output

    def _postprocess(self, output: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """Convert (1, c, sh, sw), or (1, css, h, w) before a pixel shuffle, to (sh, sw, c), about 0 to 255.

        `size` is (h, w) of the input, c is the number of channels and s the scale.
        """
        channels, scale, (height, width) = len(self._spec.mean), self.scale, size
        if output.shape == (1, channels * scale**2, height, width):
            parts = output.reshape(channels, scale, scale, height, width).transpose(3, 1, 4, 2, 0)
        elif output.shape == (1, channels, scale * height, scale * width):
            parts = output.reshape(channels, height, scale, width, scale).transpose(1, 2, 3, 4, 0)
        else:
            raise self._mismatch(f"it makes {output.shape} of {height} x {width} pixels")
        values = parts * np.float32(255 / self._spec.white) + np.array(self._spec.mean, np.float32)
        return values.reshape(scale * height, scale * width, channels)

    def _mismatch(self, reason: str) -> PackError:
        return PackError(f"The net in {self._spec.weights.path} does not fit its manifest: {reason}.")


def _as_bytes(values: NDArray[np.float32]) -> Pixels:
    """Round to uint8. Overwrites `values`."""
    return np.clip(np.rint(values, out=values), 0, 255, out=values).astype(np.uint8)


def _read_net(spec: EnhanceSpec) -> cv2.dnn.Net:
    """Read a net from verified bytes, so that OpenCV reads what was checked even if the files change."""
    weights = spec.weights.read()
    try:
        if spec.prototxt:
            net = cv2.dnn.readNetFromCaffe(_buffer(spec.prototxt.read()), _buffer(weights))
        else:
            net = read_tensorflow(weights)
    except cv2.error as error:
        raise PackError(f"OpenCV cannot read {spec.weights.path}: {error.err}.") from None
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    return net


def read_tensorflow(graph: bytes) -> cv2.dnn.Net:
    """Read a net from a frozen TensorFlow graph. OpenCV expects another attribute name in DepthToSpace layers.

    Raises:
        cv2.error: OpenCV cannot read it.
    """
    return cv2.dnn.readNetFromTensorflow(_buffer(graph.replace(_BLOCK_SIZE, _BLOCKSIZE)))


def _buffer(content: bytes) -> NDArray[Any]:
    return np.frombuffer(content, np.uint8)
