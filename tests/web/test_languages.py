"""The page speaks the visitor's language, and every language has all texts."""

import html
import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.paths import ROOT
from visage.web.languages import COOKIE, languages

WEB = ROOT / "visage" / "web"
ENGLISH = languages()["en"]
OTHERS = sorted(set(languages()) - {"en"})

# The scripts of the page. /docs is in English.
SCRIPTS = [path for path in (WEB / "static").glob("*.js") if path.name != "docs.js"]

# Chinese has one form for all numbers (Unicode CLDR, Language Plural Rules).
FORMS = {"zh": {"other"}}


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("de", "de"),
        ("de-AT,en;q=0.5", "de"),
        ("pt,fr;q=0.8,en;q=0.5", "fr"),
        ("zh-CN", "zh"),
        ("es-419", "es"),
        ("ja", "en"),
        ("", "en"),
        ("*", "en"),
        ("*,fr;q=0.5", "fr"),
        ("de;q=0,es;q=0.1", "es"),
        ("\xff;q=x", "en"),
    ],
)
def test_the_page_is_in_the_first_language_of_the_browser_that_it_has(
    client: FlaskClient, accepted: str, language: str
) -> None:
    response = client.get("/", headers={"Accept-Language": accepted})

    assert f'<html lang="{language}" dir="ltr">' in response.text
    assert languages()[language].page["find_lead"] in html.unescape(response.text)
    assert response.headers["Content-Language"] == language
    assert {"Accept-Language", "Cookie"} <= set(response.vary)


@pytest.mark.parametrize(("chosen", "language"), [("fr", "fr"), ("tlh", "de"), ("../en", "de"), ("", "de")])
def test_the_switch_overrides_the_browser_and_unknown_languages_do_not(
    client: FlaskClient, chosen: str, language: str
) -> None:
    client.set_cookie(COOKIE, chosen)

    page = client.get("/", headers={"Accept-Language": "de"}).text

    assert f'<html lang="{language}"' in page


def test_the_switch_names_every_language_in_itself(client: FlaskClient) -> None:
    page = client.get("/").text

    options = re.findall(r'<option value="\w+" lang="(\w+)"(?: selected)?>([^<]+)<', page)
    names = {"de": "Deutsch", "en": "English", "es": "Español", "fr": "Français", "zh": "中文"}
    assert dict(options) == names


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("part", ["page", "script"])
def test_a_language_has_the_texts_of_english(code: str, part: str) -> None:
    assert set(getattr(languages()[code], part)) == set(getattr(ENGLISH, part))


@pytest.mark.parametrize("code", sorted(languages()))
def test_a_text_has_all_plurals_of_its_language_and_the_values_of_english(code: str) -> None:
    for key, text in languages()[code].script.items():
        english = ENGLISH.script[key]
        assert type(text) is type(english), key
        if isinstance(text, dict):
            assert set(text) - {"zero"} == FORMS.get(code, {"one", "other"}), key
            assert ("zero" in text) == ("zero" in english), key
            assert _values(text["other"]) == _values(english["other"]), key
        else:
            assert _values(text) == _values(english), key


@pytest.mark.parametrize("code", OTHERS)
def test_the_errors_of_a_language_have_codes_of_the_service_and_are_the_same_in_all(code: str) -> None:
    codes = set(re.findall(r'code(?:: ClassVar\[str\])? = "(\w+)"', (ROOT / "visage" / "errors.py").read_text()))

    assert set(languages()[code].errors) == set(languages()["de"].errors)
    assert set(languages()[code].errors) <= codes


def test_every_text_is_used_and_every_used_text_exists() -> None:
    template = (WEB / "templates" / "page.html").read_text()
    scripts = "".join(path.read_text() for path in SCRIPTS)

    assert set(re.findall(r"\btext\.(\w+)", template)) == set(ENGLISH.page)
    # Labels of model packs, and states of files, are keys that no script names.
    computed = {"Female", "Male", "state_waiting", "state_done"}
    assert {key for key in ENGLISH.script if f'"{key}"' not in scripts} == computed
    assert set(re.findall(r'\btext\("(\w+)"[,)]', scripts)) <= set(ENGLISH.script)


def test_no_script_has_a_sentence_of_its_own() -> None:
    for path in SCRIPTS:
        code = re.sub(r"^\s*(//|\*|/\*).*$", "", path.read_text(), flags=re.MULTILINE)

        assert re.findall(r"[\"`][A-Z][a-z]+ [^\"`]*[\"`]", code.replace("`Bearer ", "")) == [], path.name


def test_the_page_carries_the_texts_of_its_scripts(client: FlaskClient) -> None:
    page = client.get("/", headers={"Accept-Language": "fr"}).text

    [carried] = re.findall(r'<script type="application/json" id="texts">(.*?)</script>', page)
    french = languages()["fr"]
    assert json.loads(carried) == {"texts": french.script, "errors": french.errors}


def _values(text: Any) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))
