"""Super-resolution: pictures and small faces enlarged by a net."""

from visage.enhance.net import EnhanceNet
from visage.enhance.results import Enhanced, EnhanceOptions

__all__ = ["EnhanceNet", "EnhanceOptions", "Enhanced"]
