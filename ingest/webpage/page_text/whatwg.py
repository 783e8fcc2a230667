"""Bytes to text in the encodings of the web (WHATWG Encoding)."""

import codecs
import re

# Python's codec for an encoding of the standard, where it does not bear the same name. Some are
# wider than their names say, as browsers read them.
_CODECS = {
    "big5": "big5hkscs",
    "euc-jp": "euc_jp",
    "euc-kr": "cp949",
    "iso-8859-8-i": "iso-8859-8",
    "macintosh": "mac-roman",
    "shift_jis": "cp932",
    "utf-16be": "utf-16-be",
    "utf-16le": "utf-16-le",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
}
# Where Python's codec gives another character than the standard's table, both sides in order.
_OTHER_CHARACTERS = {
    "big5": (
        "\u2022\uff64\u203e\u223c\u2641\u2609\uff0f\uff3c\xa5\xa2\xa3\uffed",
        "\u2027\ufe51\xaf\uff5e\u2295\u2299\u2215\ufe68\uffe5\uffe0\uffe1\u2593",
    ),
    "euc-jp": (
        "\u2014\u2016\u2212\u301c\xa2\xa3\xac",
        "\u2015\u2225\uff0d\uff5e\uffe0\uffe1\uffe2",
    ),
    "gb18030": (
        (
            "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795"
            "\ue796\ue7c7\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864"
        ),
        (
            "\u3000\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18"
            "\ufe19\u1e3f\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8\u9fb9\u9fba\u9fbb"
        ),
    ),
    "koi8-u": ("\u255d\u256c", "\u045e\u040e"),
    "shift_jis": ("\uf8f0\uf8f1\uf8f2\uf8f3", "\ufffd\ufffd\ufffd\ufffd"),
}
# Bytes that a codec does not know, as Python hands them on.
_UNKNOWN = re.compile("[\udc80-\udcff]")
_EUC_JP = re.compile(
    rb"[\x00-\x7f]++|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|[\xa1-\xfe]{2}|(\x8f?[\x80-\xff]\Z)|[\x80-\xff]"
)
# The characters of ISO-2022-JP, by byte.
_ASCII = "".join(chr(b) if b < 0x80 and b not in (0x0E, 0x0F) else "\ufffd" for b in range(256))
_ROMAN = _ASCII.replace("\\", "\xa5").replace("~", "\u203e")
_KATAKANA = "".join(chr(0xFF40 + b) if 0x21 <= b <= 0x5F else "\ufffd" for b in range(256))
_JIS_SETS = {b"(B": _ASCII, b"(J": _ROMAN, b"(I": _KATAKANA, b"$@": None, b"$B": None}
"""What follows an escape, by what stands behind it; None for characters of two bytes."""

_JIS_PAIRS = re.compile(rb"((?:[!-~]{2})+)|([!-~])\Z|[!-~]?[^!-~]")


def decode(body: bytes, encoding: str, *, is_cut: bool) -> str:
    """Return the text of bytes in an encoding, by the standard's name; unknown bytes are U+FFFD.

    A page that was cut may end inside a character, which is left out.
    """
    if encoding == "replacement":
        return "\ufffd" if body else ""
    if encoding == "x-user-defined":
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in body)
    if encoding == "iso-2022-jp":
        return _iso_2022_jp(body, is_cut=is_cut)
    # GBK is the older name of what decodes in the same way.
    encoding = "gb18030" if encoding == "gbk" else encoding
    codec = codecs.getincrementaldecoder(_CODECS.get(encoding, encoding))
    if encoding.startswith("utf-"):
        return codec("replace").decode(body, final=not is_cut)
    text = codec("surrogateescape").decode(body, final=not is_cut)
    if text.isascii():
        return text
    if encoding == "euc-jp" and _UNKNOWN.search(text):
        text = _euc_jp(body, is_cut=is_cut)
    for ours, theirs in zip(*_OTHER_CHARACTERS.get(encoding, ("", "")), strict=True):
        text = text.replace(ours, theirs)
    return _UNKNOWN.sub(lambda found: _unknown_byte(ord(found[0]) - 0xDC00, encoding), text)


def utf8_of(body: bytes, encoding: str, *, is_cut: bool) -> bytes:
    """Return in UTF-8 what `decode` returns as text."""
    if encoding == "utf-8":
        try:
            body.decode()
        except UnicodeDecodeError:
            pass
        else:
            return body
    return decode(body, encoding, is_cut=is_cut).encode()


def _unknown_byte(byte: int, encoding: str) -> str:
    """Return what the standard has for a byte that Python's codec does not know."""
    if encoding.startswith("windows-") and byte < 0xA0:
        return chr(byte)
    if encoding == "windows-1255" and byte == 0xCA:
        return "\u05ba"
    return "\u20ac" if encoding == "gb18030" and byte == 0x80 else "\ufffd"


def _euc_jp(body: bytes, *, is_cut: bool) -> str:
    """Return text with characters that Python's codec lacks: circled digits, units, IBM's."""
    pieces: list[str] = []
    for found in _EUC_JP.finditer(body):
        if found[1] and is_cut:
            break
        try:
            pieces.append(found[0].decode("euc_jp"))
        except UnicodeDecodeError:
            pieces.append(_in_shift_jis(found[0]) if len(found[0]) == 2 else "\ufffd")
    return "".join(pieces)


def _in_shift_jis(pair: bytes) -> str:
    """Return the character of two bytes of EUC-JP; Shift_JIS has two of its rows behind a byte."""
    row, cell = pair[0] - 0xA1, pair[1] - 0xA1
    lead = row // 2 + (0x81 if row < 62 else 0xC1)
    trail = cell + (0x9F if row % 2 else 0x40 if cell < 63 else 0x41)
    text = bytes([lead, trail]).decode("cp932", errors="replace") if row >= 0 <= cell else ""
    return text if len(text) == 1 else "\ufffd"


def _iso_2022_jp(body: bytes, *, is_cut: bool) -> str:
    """Return text whose escapes say which characters follow; Python's codec knows fewer of them."""
    start, *stretches = body.split(b"\x1b")
    if is_cut and stretches and stretches[-1] in (b"", b"(", b"$"):
        del stretches[-1]
    characters, is_bare = _ASCII, False
    pieces = [start.decode("latin-1").translate(_ASCII)]
    for number, behind in enumerate(stretches, start=1):
        is_known = behind[:2] in _JIS_SETS
        # One right behind another could hide a part of a word.
        pieces.append("\ufffd" if is_bare or not is_known else "")
        characters = _JIS_SETS[behind[:2]] if is_known else characters
        stretch = behind[2:] if is_known else behind
        is_bare = is_known and not stretch
        if characters is None:
            pieces.append(_jis_pairs(stretch, is_cut=is_cut and number == len(stretches)))
        else:
            pieces.append(stretch.decode("latin-1").translate(characters))
    return "".join(pieces)


def _jis_pairs(stretch: bytes, *, is_cut: bool) -> str:
    pieces: list[str] = []
    for found in _JIS_PAIRS.finditer(stretch):
        pairs, half = found.groups()
        if pairs:
            # EUC-JP has the same pairs in bytes above 0x80.
            pieces.append(decode(bytes(byte | 0x80 for byte in pairs), "euc-jp", is_cut=False))
        elif not (half and is_cut):
            pieces.append("\ufffd")
    return "".join(pieces)
