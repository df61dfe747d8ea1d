"""The gender and age nets: a start from the weights of a pack.

Needs torch (training/requirements.txt); `make test-training` installs it.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: make test-training installs it")

from tests.support.paths import ROOT  # noqa: E402
from tests.training.torch_nets import random_images  # noqa: E402
from training import caffe, models  # noqa: E402
from training.attributes import SIDE, load_student  # noqa: E402

TOLERANCE = 1e-4
COMPACT = ROOT / "models" / "compact"


@pytest.mark.parametrize("role", ["gender", "age"])
def test_a_student_starts_with_the_probabilities_of_the_pack(role: str) -> None:
    crops = torch.from_numpy(random_images(50, SIDE, SIDE))
    student = models.student()

    load_student(student, COMPACT, role, crops)

    reader = caffe.read(COMPACT, role)
    reader.setInput(crops.numpy())
    with torch.no_grad():
        found = student(crops)[:, models.ROLE_OUTPUTS[role]].softmax(1).numpy()
    np.testing.assert_allclose(found, reader.forward(), atol=TOLERANCE)
