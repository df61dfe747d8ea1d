"""URLs as messages may show them."""

import re


def without_password(text: str) -> str:
    """Return a URL, or a text that contains one, without the user and the password before its host."""
    return re.sub("//[^/]*@", "//", text)
