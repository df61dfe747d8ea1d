"""The cache is off by default; its settings and packages are checked at start."""

import subprocess
import sys
from pathlib import Path

import pytest

from visage.errors import SettingsError
from visage.runtime.engine import Engine
from visage.runtime.result_cache import ResultCache
from visage.settings import Settings


def test_the_cache_is_off_by_default_and_no_key_is_computed(
    tiny_pack: Path, tiny_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a key was computed although the cache is off")

    monkeypatch.setattr(ResultCache, "key", fail)
    engine = Engine(Settings(pack=str(tiny_pack)))

    answers = [engine.analyze(tiny_png, annotated=False) for _ in range(2)]

    assert engine.cache is None
    assert [answer.cached for answer in answers] == [False, False]
    assert set(answers[1].seconds) == {"wait", "decode", "detect", "attributes"}


def test_the_cache_is_configured_by_the_environment(tiny_pack: Path, tiny_png: bytes) -> None:
    settings = Settings.from_environment({"VISAGE_PACK": str(tiny_pack), "VISAGE_CACHE_BYTES": "1000000"})
    engine = Engine(settings)

    assert [engine.analyze(tiny_png).cached for _ in range(2)] == [False, True]


@pytest.mark.parametrize("url", ["cache:6379", "http://cache", "redis:cache"])
def test_a_url_that_is_not_of_redis_is_rejected(url: str) -> None:
    with pytest.raises(SettingsError, match=r"VISAGE_CACHE_URL must be a URL that begins with redis://"):
        Settings.from_environment({"VISAGE_CACHE_URL": url})


def test_an_invalid_url_is_reported_at_start_without_its_password(tiny_pack: Path) -> None:
    settings = Settings(pack=str(tiny_pack), cache_bytes=1000, cache_url="redis://:secret@cache:port/0")

    with pytest.raises(SettingsError, match="VISAGE_CACHE_URL cannot be used") as caught:
        Engine(settings)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("package", "url"), [("redis", "redis://cache"), ("cachetools", "")])
def test_a_missing_package_is_reported_at_start(
    tiny_pack: Path, monkeypatch: pytest.MonkeyPatch, package: str, url: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(SettingsError, match=rf"needs the package {package}.*pip install {package}"):
        Engine(Settings(pack=str(tiny_pack), cache_bytes=1000, cache_url=url))


def test_without_a_cache_the_engine_needs_no_cachetools(tiny_pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cachetools", None)

    assert Engine(Settings(pack=str(tiny_pack))).cache is None


def test_a_cache_in_memory_imports_neither_redis_nor_flask(tiny_pack: Path) -> None:
    code = (
        "import sys; from visage.runtime.engine import Engine; from visage.settings import Settings;"
        f"Engine(Settings(pack={str(tiny_pack)!r}, cache_bytes=1000));"
        "print(sorted({'redis', 'flask'} & set(sys.modules)))"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.strip() == "[]"
