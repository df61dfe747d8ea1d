"""Distillation of the face net: the small net starts from the large one, and comes to answer like it.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from torch import Tensor, nn  # noqa: E402

from tests.training.torch_nets import randomize_face_net  # noqa: E402
from training.detection import net  # noqa: E402
from training.detection.distil import errors, start_from_large  # noqa: E402
from training.run import Run  # noqa: E402

# The channels of the large net's first convolution that differ from place to place.
TELLING = (1, 2, 5, 8, 11, 13)


@pytest.fixture
def large() -> net.FaceNet:
    """Its layers all do something, its confidences are from 0 to 1, and only `TELLING` says what a picture shows."""
    torch.manual_seed(7)
    large = net.FaceNet(net.LARGE)
    randomize_face_net(large)
    constant = [channel for channel in range(16) if channel not in TELLING]
    with torch.no_grad():
        large.stem[0].weight[constant] = 0
        large.stem[0].bias[constant] = 1
    return large


@pytest.fixture
def pictures() -> Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)


def start_without(large: net.FaceNet, silent: nn.Conv2d, kept: int, pictures: Tensor) -> net.FaceNet:
    """The small net that starts from `large`, in which the layer `silent` gives nothing after `kept` channels."""
    small = net.FaceNet(net.SMALL).eval()
    with torch.no_grad():
        silent.weight[kept:] = 0
        silent.bias[kept:] = 0
    start_from_large(small, large, pictures.repeat(8, 1, 1, 1) * torch.linspace(0.2, 1, 16)[:, None, None, None])
    return small


def test_the_small_net_keeps_the_channels_that_tell_something(large: net.FaceNet, pictures: Tensor) -> None:
    small = net.FaceNet(net.SMALL).eval()

    start_from_large(small, large, pictures)

    with torch.no_grad():
        torch.testing.assert_close(small.stem(pictures), large.stem(pictures), atol=1e-3, rtol=1e-3)


def test_a_block_keeps_the_channels_that_do_something(large: net.FaceNet, pictures: Tensor) -> None:
    small = start_without(large, large.sixteenth[3].first, net.SMALL.sixteenth - 4, pictures)

    with torch.no_grad():
        maps = large.sixteenth[:3](large.eighth(large.quarter(large.stem(pictures))))
        torch.testing.assert_close(small.sixteenth[3](maps), large.sixteenth[3](maps), atol=1e-3, rtol=1e-3)


def test_the_heads_at_stride_8_keep_the_channels_that_do_something(large: net.FaceNet, pictures: Tensor) -> None:
    inputs: list[Tensor] = []
    large.laterals[0].register_forward_pre_hook(lambda _, maps: inputs.append(maps[0]))

    small = start_without(large, large.laterals[0].depth, net.SMALL.eighth - 4, pictures)

    with torch.no_grad():
        maps = [each.laterals[0](inputs[0]) for each in (small, large)]
        for heads, goals in ((small.scores, large.scores), (small.boxes, large.boxes)):
            torch.testing.assert_close(heads[0](maps[0]), goals[0](maps[1]), atol=1e-2, rtol=1e-2)


def test_the_small_net_takes_over_layers_of_the_same_shape(large: net.FaceNet, pictures: Tensor) -> None:
    small = net.FaceNet(net.SMALL).eval()

    start_from_large(small, large, pictures)

    maps = torch.randn(1, net.WIDTH, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(small.eighth[1](maps), large.eighth[1](maps))
        torch.testing.assert_close(small.laterals[1](maps), large.laterals[1](maps))


def test_one_convolution_does_what_two_of_a_unit_do_in_turn() -> None:
    torch.manual_seed(1)
    unit, plain = net.Separable(5, 7), net.Plain(5, 7)
    weight, bias = net.fuse(unit.point.weight, unit.point.bias, unit.depth.weight, unit.depth.bias)
    plain.conv.load_state_dict({"weight": weight, "bias": bias})
    maps = torch.randn(1, 5, 9, 9)

    with torch.no_grad():
        torch.testing.assert_close(plain(maps)[:, :, 1:-1, 1:-1], unit(maps)[:, :, 1:-1, 1:-1])


def test_a_net_makes_no_error_against_itself(large: net.FaceNet, pictures: Tensor) -> None:
    with torch.no_grad():
        each = errors(large, large, pictures)

    assert float(each.maps) == float(each.scores) == float(each.places) == 0


def test_boxes_that_are_a_stride_away_are_an_error_of_four_of_fourteen_values(
    large: net.FaceNet, pictures: Tensor
) -> None:
    small = net.FaceNet(net.LARGE).eval()
    small.load_state_dict(large.state_dict())
    with torch.no_grad():
        for head in small.boxes:
            head.bias += 1

        each = errors(small, large, pictures)

    assert float(each.places) == pytest.approx(4 / 14, rel=0.05)
    assert float(each.maps) == float(each.scores) == 0


def test_places_do_not_count_where_the_large_net_sees_no_face(large: net.FaceNet, pictures: Tensor) -> None:
    with torch.no_grad():
        for head in large.scores:
            head.bias -= 100
    small = net.FaceNet(net.LARGE).eval()
    small.load_state_dict(large.state_dict())
    with torch.no_grad():
        for head in small.boxes:
            head.bias += 1

        assert float(errors(small, large, pictures).places) == 0


def test_errors_are_those_of_one_picture(large: net.FaceNet, pictures: Tensor) -> None:
    small = net.FaceNet(net.SMALL).eval()
    start_from_large(small, large, pictures)

    with torch.no_grad():
        once, twice = (errors(small, large, pictures[:1].repeat(count, 1, 1, 1)) for count in (1, 2))

    assert float(once.scores) > 0
    assert float(twice.scores) == pytest.approx(float(once.scores), rel=0.01)


def test_every_error_falls_while_the_small_net_learns(large: net.FaceNet, pictures: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(3)
    run = Run({"face": net.FaceNet(net.SMALL)}, tmp_path / "face.pt", 400, 5e-2, adaptive=True)
    run.train()
    parts = []

    for _ in range(60):
        each = errors(run.nets["face"], large, pictures)
        run.step(each.total)
        parts.append([each.maps.item(), each.scores.item(), each.places.item()])

    first, last = torch.tensor(parts[:3]).mean(0), torch.tensor(parts[-3:]).mean(0)
    # Maps are learned much more slowly than the heads.
    assert (last < torch.tensor([0.95, 0.5, 0.5]) * first).all(), (first, last)
