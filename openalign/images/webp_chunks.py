"""The chunks of a WebP: the file as far as it is whole, with its right length.

Pillow gives an animation up that is cut off behind its first frame, and every file that is shorter
than it says, if only by the byte of padding at its end. Browsers show them. A file that says that
it ends within its image stays as it is, and is refused: libwebp calls its lengths inconsistent.
"""

_HEAD_BYTES = 12
"""`RIFF`, the length of what follows, `WEBP`."""

_STILL = (b"VP8 ", b"VP8L")
_FRAME = b"ANMF"


def whole(content: bytes) -> bytes:
    """Return a WebP with all of its chunks that are whole, if its image or first frame is one.

    Otherwise, and where nothing is wrong, the bytes are returned as they are.
    """
    end, is_shown, is_cut = _HEAD_BYTES, False, False
    while end + 8 <= len(content) and not is_cut:
        length = int.from_bytes(content[end + 4 : end + 8], "little")
        is_cut = end + 8 + length > len(content)
        if not is_cut:
            is_shown |= content[end : end + 4] in (*_STILL, _FRAME)
            end += 8 + length + length % 2
    said = 8 + int.from_bytes(content[4:8], "little")
    is_right = said == end == len(content) or (said == end < len(content) and not is_cut)
    if is_right or not is_shown or said < end:
        return content
    body = content[8:end]
    body += b"\0" * (end - 8 - len(body))
    return b"RIFF" + len(body).to_bytes(4, "little") + body
