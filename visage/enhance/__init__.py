"""Super-resolution: enhance images and small faces with a net."""

from visage.enhance.net import EnhanceNet
from visage.enhance.results import SCALES, Enhanced, EnhanceOptions

__all__ = ["SCALES", "EnhanceNet", "EnhanceOptions", "Enhanced"]

from visage.callable_packages import make_callable

make_callable(__name__)
