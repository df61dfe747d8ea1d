"""The languages of the page: a file of texts for each, of which the browser or the visitor chooses one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from werkzeug import Request

_TEXTS = Path(__file__).parent / "texts"

# Set by the page's switch, which overrides the browser's languages.
COOKIE = "visage-language"

_DEFAULT = "en"


@dataclass(frozen=True)
class Language:
    """The texts of one language.

    `code` is the language's in BCP 47, `name` its own name, and `direction` that of its script: `ltr` or `rtl`. `page`
    has the texts of the template, `script` those of the scripts, and `errors` sentences for error codes: the service's
    own are in English.
    """

    code: str
    name: str
    direction: str
    page: Mapping[str, str]
    script: Mapping[str, Any]
    errors: Mapping[str, str]


@cache
def languages() -> Mapping[str, Language]:
    """Return the languages by their codes, sorted."""
    files = sorted(_TEXTS.glob("*.json"))
    return {file.stem: Language(file.stem, **json.loads(file.read_text(encoding="utf-8"))) for file in files}


def language_of(request: Request) -> Language:
    """Return the language that the visitor chose, or the first of the browser's that the page has, or English."""
    # werkzeug's `best_match` takes `en` for `de-AT,en;q=0.5`, because only that is listed exactly.
    accepted = (tag.lower().partition("-")[0] for tag in request.accept_languages.values())
    wanted = [request.cookies.get(COOKIE, ""), *accepted, _DEFAULT]
    return next(languages()[code] for code in wanted if code in languages())
