"""Convert the colours of images to sRGB by their ICC profiles.

Find the profile in a file, build the conversion with Little CMS, and apply it to decoded pixels.
"""

from visage.images.colour.cmyk import decode_cmyk
from visage.images.colour.conversion import Conversion, find_conversion
from visage.images.colour.profiles import EmbeddedProfile, find_profile

__all__ = ["Conversion", "EmbeddedProfile", "decode_cmyk", "find_conversion", "find_profile"]
