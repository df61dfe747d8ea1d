"""Encode the two types of protobuf's wire format that net files need (protobuf.dev, Encoding)."""

_VARINT, _LENGTH_DELIMITED = 0, 2


def message(field: int, *parts: bytes) -> bytes:
    """Return a length-delimited field: the concatenated parts, which are bytes, text or other fields."""
    payload = b"".join(parts)
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def number(field: int, value: int) -> bytes:
    """Return a varint field; `value` is 0 or more."""
    return _varint(field << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
