"""Super-resolution: pictures and small faces enlarged by a net."""

from visage.enhance.net import SuperresNet
from visage.enhance.results import Enhanced, EnlargeOptions

__all__ = ["Enhanced", "EnlargeOptions", "SuperresNet"]
