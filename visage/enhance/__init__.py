"""Super-resolution: enhance images and small faces with a net."""

from visage.enhance.net import EnhanceNet
from visage.enhance.results import SCALES, Enhanced, EnhanceOptions

__all__ = ["SCALES", "EnhanceNet", "EnhanceOptions", "Enhanced"]
