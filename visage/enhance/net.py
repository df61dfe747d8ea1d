"""One wrapper for a net that enlarges pictures: preprocess, infer, postprocess.

A `cv2.dnn.Net` keeps the blobs of its last forward, so a wrapper belongs to one thread at a time.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from visage.errors import PackError
from visage.packs.enhance_spec import EnhanceSpec

Pixels = NDArray[np.uint8]

# The field `block_size` of TensorFlow's DepthToSpace, and what OpenCV's layer of that name asks for: one letter less.
# Its length takes two bytes instead of one, which every reader of protobuf accepts, so all lengths around it hold.
_BLOCK_SIZE, _BLOCKSIZE = b"\x0a\x0ablock_size", b"\x0a\x89\x00blocksize"

# How many pixels away a pixel can matter in bicubic enlargement.
_BICUBIC_REACH = 2

# Values that are held for a pixel at a time, over the channels of the widest layer: 6 to 7.5 in FSRCNN, in EDSR and in
# plain convolutions of 32 channels.
_HELD = 8

# Pixels a side from which on OpenCV uses Winograd's transform (its convolution_layer.cpp).
_LEAST_FOR_WINOGRAD = 12


class EnhanceNet:
    """A net that makes pictures `scale` times as wide and high."""

    def __init__(self, spec: EnhanceSpec) -> None:
        """Read the net.

        Raises:
            PackError: the files are missing, altered, or not what OpenCV reads.
        """
        self._spec = spec
        self._net = _read_net(spec)
        self._is_laid_out = False

    @property
    def scale(self) -> int:
        return self._spec.scale

    @property
    def overlap(self) -> int:
        """How many pixels of its neighbours a tile is shown."""
        return self._spec.overlap if len(self._spec.mean) == 3 else max(_BICUBIC_REACH, self._spec.overlap)

    @property
    def padding(self) -> int:
        """How many pixels around the picture the net is to be shown."""
        return self._spec.padding

    @property
    def tile(self) -> int | None:
        """The side of the tiles that it is fastest with, where its pack knows."""
        return self._spec.tile

    def bytes_a_pixel(self) -> int:
        """What the layers need for each pixel that is enlarged.

        Raises:
            PackError: the net takes other pictures than its manifest says.
        """
        sample = [1, len(self._spec.mean), 8, 8]
        try:
            _, _, outputs = self._net.getLayersShapes(sample)
        except cv2.error as error:
            raise self._unfit(error.err.splitlines()[0]) from None
        widest = max(int(np.prod(shape)) for shapes in outputs for shape in shapes) / 64
        return int(_HELD * np.float32().nbytes * widest)

    def check(self) -> None:
        """Enlarge one pixel: a net that is not what its manifest says is found before anything is served.

        Raises:
            PackError: it is not.
        """
        # Without Winograd's transform of the weights, which for large nets takes seconds.
        self._net.enableWinograd(useWinograd=False)
        self._is_laid_out = True
        self.enlarge(np.full((1, 1, 3), 127, np.uint8))
        # OpenCV 4.12 does not go back to it.
        self._net = _read_net(self._spec)
        self._is_laid_out = False

    def let_go(self) -> None:
        """Give back the memory of the last picture, which the net keeps for another of the same size."""
        self._infer(self._preprocess(np.zeros((1, 1, len(self._spec.mean)), np.uint8)))

    def enlarge(self, pixels: Pixels) -> Pixels:
        """(h, w, 3) uint8 BGR pixels as (scale h, scale w, 3).

        Of a net that knows luma alone, the colours are enlarged bicubically: the eye sees no detail in them.

        Raises:
            PackError: what the net answers is no picture of that size.
        """
        if len(self._spec.mean) == 3:
            return self._enlarge_channels(pixels)
        height, width = pixels.shape[:2]
        colours = cv2.cvtColor(pixels, cv2.COLOR_BGR2YCrCb)
        size = (width * self.scale, height * self.scale)
        # Rounded once, at the end. OpenCV's weights for bytes depend a little on where in a picture a pixel lies (but
        # not with Intel's IPP): a colour that is one off in one tile becomes two in blue.
        enlarged: NDArray[np.float32] = cv2.resize(  # type: ignore[assignment]
            colours.astype(np.float32), size, interpolation=cv2.INTER_CUBIC
        )
        luma = colours[..., 0].astype(np.uint8, copy=False)
        enlarged[..., :1] = self._postprocess(self._infer(self._preprocess(luma)), (height, width))
        # No colour is 128 in bytes, 127.5 of 255 in floats.
        enlarged[..., 1:] -= 0.5
        enlarged /= 255
        cv2.cvtColor(enlarged, cv2.COLOR_YCrCb2BGR, dst=enlarged)
        enlarged *= 255
        return _rounded(enlarged)

    def _enlarge_channels(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        return _rounded(self._postprocess(self._infer(self._preprocess(pixels)), (height, width)))

    def _preprocess(self, pixels: Pixels) -> NDArray[np.float32]:
        blob: NDArray[np.float32] = cv2.dnn.blobFromImage(  # type: ignore[assignment]
            pixels, scalefactor=self._spec.white / 255, mean=self._spec.mean
        )
        return blob

    def _infer(self, blob: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._is_laid_out:
            # OpenCV 4.12 never uses Winograd's transform in a layer that was first laid out for less than 12 pixels.
            self._is_laid_out = True
            self._infer(np.zeros((1, len(self._spec.mean), _LEAST_FOR_WINOGRAD, _LEAST_FOR_WINOGRAD), np.float32))
        self._net.setInput(blob)
        try:
            output: NDArray[np.float32] = self._net.forward()  # type: ignore[assignment]
        except cv2.error as error:
            raise self._unfit(error.err.splitlines()[0]) from None
        return output

    def _postprocess(self, output: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """(1, c, sh, sw), or (1, css, h, w) as a pixel shuffle takes it, as (sh, sw, c) of about 0 to 255."""
        channels, scale, (height, width) = len(self._spec.mean), self.scale, size
        if output.shape == (1, channels * scale**2, height, width):
            parts = output.reshape(channels, scale, scale, height, width).transpose(3, 1, 4, 2, 0)
        elif output.shape == (1, channels, scale * height, scale * width):
            parts = output.reshape(channels, height, scale, width, scale).transpose(1, 2, 3, 4, 0)
        else:
            raise self._unfit(f"it makes {output.shape} of {height} x {width} pixels")
        values = parts * np.float32(255 / self._spec.white) + np.array(self._spec.mean, np.float32)
        return values.reshape(scale * height, scale * width, channels)

    def _unfit(self, reason: str) -> PackError:
        return PackError(f"The net in {self._spec.weights.path} does not fit its manifest: {reason}.")


def _rounded(values: NDArray[np.float32]) -> Pixels:
    """As bytes; `values` are used up."""
    return np.clip(np.rint(values, out=values), 0, 255, out=values).astype(np.uint8)


def _read_net(spec: EnhanceSpec) -> cv2.dnn.Net:
    """Build a net from verified bytes: what was checked is what OpenCV reads, whatever happens to the files."""
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
    """A net from a frozen graph, whose DepthToSpace OpenCV reads under another name of its attribute only.

    Raises:
        cv2.error: OpenCV cannot read it.
    """
    return cv2.dnn.readNetFromTensorflow(_buffer(graph.replace(_BLOCK_SIZE, _BLOCKSIZE)))


def _buffer(content: bytes) -> NDArray[Any]:
    return np.frombuffer(content, np.uint8)
