"""One word for one thing: words of the first version's private vocabulary do not come back."""

import re
import subprocess

import pytest

from tests.support.paths import ROOT

# What each of them is called now stands in CONTRIBUTING.md.
RETIRED = (
    "caretaker",
    "closer look",
    "enlarger",
    "face_enlarger",
    "false box",
    "least confidence",
    "misfit",
    "must be ours",
    "outbox",
    "rehears",
    "shared_parts",
    "stopwatch",
    "swallow",
    "turn away",
    "turned away",
    "wears out",
    "worn out",
    "years off",
    "years_off",
)

# The changelog tells what a log event was called; a patch is OpenCV's text.
EXCEPT = (":!tests/test_glossary.py", ":!CHANGELOG.md", ":!*.patch")


@pytest.mark.parametrize("word", RETIRED)
def test_no_file_uses_a_retired_word(word: str) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the repository: its list of files tells what is ours")
    command = ["git", "grep", "-inIF", "-e", word, "--", ".", *EXCEPT]

    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert found.returncode in (0, 1), found.stderr
    assert found.stdout == ""


def test_the_words_that_replace_retired_ones_are_listed_for_contributors() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    assert re.search(r"^## .*(words|glossary)", guide, re.IGNORECASE | re.MULTILINE)
