"""The Dockerfile's stages and environment."""

from benchmarks.support.dockerfile import Instruction, stages, values
from tests.support.paths import ROOT

DOCKER = ROOT / "docker"
STAGES = stages(ROOT / "Dockerfile")
FILES = STAGES["files"]
FINAL = STAGES[""]
ENVIRONMENT = values(FINAL, "ENV")


def one(word: str) -> Instruction:
    (found,) = [each for each in FINAL if each.word == word]
    return found
