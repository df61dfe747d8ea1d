"""The parts of protobuf's wire format that frozen nets are written in (protobuf.dev, Encoding)."""

_VARINT, _LENGTH_DELIMITED = 0, 2


def message(field: int, *parts: bytes) -> bytes:
    """A field of bytes, of text or of other fields, one behind another."""
    payload = b"".join(parts)
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


def number(field: int, value: int) -> bytes:
    """A field with a whole number, 0 or more."""
    return _varint(field << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
