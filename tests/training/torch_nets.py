"""Random inputs for nets, and the way from a torch net to cv2.dnn. Needs torch."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.caffe import CaffeNet
from training.detection.net import FaceNet


def random_images(count: int, height: int, width: int) -> NDArray[np.float32]:
    """Return noise (count, 3, height, width), each image of another colour and strength, so that outputs differ."""
    random = np.random.default_rng(count)
    colours, strengths = random.uniform(-1, 1, (count, 3, 1, 1)), random.uniform(0, 2, (count, 1, 1, 1))
    return (colours + strengths * random.uniform(-1, 1, (count, 3, height, width))).astype(np.float32)


def randomize_batch_norms(net: torch.nn.Module) -> None:
    """Replace the initial batch norms of `net`, which do almost nothing, and switch it to inference."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.3, 3)
    net.eval()


def randomize_face_net(net: FaceNet) -> None:
    """Give all layers of `net` weights that do something, its heads small ones, and switch it to inference."""
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            torch.nn.init.normal_(module.bias, 0, 0.1)
    for head in (*net.scores, *net.boxes, *net.landmarks):
        torch.nn.init.normal_(head.weight, 0, 0.02)
        torch.nn.init.zeros_(head.bias)
    net.eval()


def read_net(net: CaffeNet, *, half: bool) -> cv2.dnn.Net:
    """Read a net with cv2.dnn, without files; its weights are float16 if `half`."""
    files = (np.frombuffer(content, np.uint8) for content in (net.prototxt(), net.caffemodel(half=half)))
    return cv2.dnn.readNetFromCaffe(*files)
