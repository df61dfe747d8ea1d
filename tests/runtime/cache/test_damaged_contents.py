"""Damaged and foreign contents of the store are ignored."""

import pytest

from tests.runtime.cache.caching import DictStore, without_timings
from visage.faces.analyzer import AnalyzeOptions
from visage.runtime.engine import Engine


def test_a_result_with_an_altered_byte_is_ignored(caching: Engine, store: DictStore, tiny_png: bytes) -> None:
    whole = without_timings(caching.analyze(tiny_png))
    [(key, content)] = store.contents.items()

    for at in [*range(200), *range(200, len(content), 997)]:
        store.contents[key] = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        assert caching.cache is not None
        assert caching.cache.get(key) is None

    answer = caching.analyze(tiny_png)
    assert not answer.cached
    assert without_timings(answer) == whole
    assert store.contents[key] == content


@pytest.mark.parametrize(
    "foreign", [b"", b"\0", b"null", b"{}", b"\x80\x04N.", b"\xff\xd8\xff", bytes(36), bytes(1000)]
)
def test_foreign_bytes_are_ignored(caching: Engine, store: DictStore, tiny_png: bytes, foreign: bytes) -> None:
    caching.analyze(tiny_png)
    [key] = store.contents
    store.contents[key] = foreign

    answer = caching.analyze(tiny_png)

    assert not answer.cached
    assert len(answer.faces) == 3


def test_a_truncated_result_is_ignored(caching: Engine, store: DictStore, tiny_png: bytes) -> None:
    caching.analyze(tiny_png)
    [(key, content)] = store.contents.items()
    store.contents[key] = content[:-1]

    assert not caching.analyze(tiny_png).cached


def test_a_result_under_another_key_is_ignored(caching: Engine, store: DictStore, tiny_png: bytes) -> None:
    caching.analyze(tiny_png)
    caching.analyze(tiny_png, AnalyzeOptions(max_faces=1))
    one, other = store.contents
    store.contents[one], store.contents[other] = store.contents[other], store.contents[one]

    assert not caching.analyze(tiny_png).cached
    assert len(caching.analyze(tiny_png).faces) == 3
