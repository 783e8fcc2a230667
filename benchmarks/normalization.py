"""What Unicode's forms repair in alt-texts and what they lose: `train.model.normalization`.

    .venv/bin/python benchmarks/normalization.py --demo runs/demo    the demo's alt-texts, too
    .venv/bin/python benchmarks/normalization.py                     English names in their place
    .venv/bin/python benchmarks/normalization.py --languages         English alone

No alt-texts of the web are at hand here. The texts are those of a demo, the names of emoji in seven
other languages (Unicode's CLDR, by the package `emoji` of the extra `demo`) and 160 in Vietnamese,
in NFC. Half of them teach each form a vocabulary, by the code that training uses; of the others one
is measured on. Noise is put on with a seed: `WAYS` has the ways in which a text may be written
otherwise, and `--noisy` of the texts that are learned from are, each in one that applies to it.

    [UNK], pieces   of the other half, as they are and all of them written otherwise
    the same ids    share of texts whose two spellings give the same ids, by way
    told apart      share of pairs of different texts that give different ids: what a form loses
    word is kept    share of different first words that keep their pieces where a sign follows
"""

import argparse
import random
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import emoji
import polars as pl
from tokenizers import Tokenizer

from openalign.train.data.preprocess import Preprocess, build_tokenizer, unknown_id
from openalign.train.data.vocabulary import vocabulary_of
from openalign.train.data.words import SPECIAL_TOKENS, Normalization

FORMS: tuple[Normalization, ...] = get_args(Normalization)
LANGUAGES = ("de", "es", "fr", "ja", "ko", "ru", "tr", "vi")
SAMPLE = 1000
"""Texts at most that a share is taken over."""

NOUNS = (
    *("con chó", "con mèo", "ngôi nhà", "chiếc xe đạp", "quả táo", "bông hoa", "cái ghế"),
    *("đôi giày", "chiếc mũ", "cây cầu", "bức tường", "áo thun", "túi xách", "đồng hồ"),
    *("bánh mì", "con thuyền", "ngọn núi", "bầu trời", "khu vườn", "cánh cửa"),
)
COLORS = ("đỏ", "xanh lá", "vàng", "trắng", "đen", "tím", "hồng", "nâu")

Spellings = tuple[str, str]
Way = Callable[[str], Spellings | None]
TONES = "\u0300\u0301\u0303\u0309\u0323"
HALF_WIDTH = {unicodedata.normalize("NFKC", chr(c)): chr(c) for c in range(0xFF66, 0xFFA0)}
IDEOGRAPHS = {unicodedata.normalize("NFC", chr(c)): chr(c) for c in range(0xFA10, 0xFA6E)}
LIGATURES = {"ffi": "ﬃ", "ffl": "ﬄ", "ff": "ﬀ", "fi": "ﬁ", "fl": "ﬂ"}


def respelled(respell: Callable[[str], str]) -> Way:
    """Return a way that has a text of its own for each that it changes."""

    def way(text: str) -> Spellings | None:
        other = respell(text)
        return None if other == text else (text, other)

    return way


def around(plain: str, other: str) -> Way:
    """Return a way of writing what stands beside a text (`{}`) or its first word (`{word}`)."""

    def way(text: str) -> Spellings:
        word, _, rest = text.partition(" ")
        return (
            plain.format(text, word=word, rest=rest).strip(),
            other.format(text, word=word, rest=rest).strip(),
        )

    return way


def decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def tones_behind(text: str) -> str:
    """Return letters with all marks but that of the tone, which follows: Windows-1258."""
    parts: list[str] = []
    for letter in text:
        marks = unicodedata.normalize("NFD", letter)
        others = "".join(mark for mark in marks if mark not in TONES)
        parts.append(unicodedata.normalize("NFC", others))
        parts.extend(mark for mark in marks if mark in TONES)
    found = "".join(parts)
    return text if found == decomposed(text) else found


def full_width(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in text)


def half_width(text: str) -> str:
    return "".join(
        "".join(HALF_WIDTH.get(part, part) for part in decomposed(c)) if "ァ" <= c <= "ー" else c
        for c in text
    )


def compatibility_ideographs(text: str) -> str:
    """Return the characters that Japan's old sets had beside the unified ones."""
    return "".join(IDEOGRAPHS.get(c, c) for c in text)


def ligatures(text: str) -> str:
    for letters, one in LIGATURES.items():
        text = text.replace(letters, one)
    return text


def styled(text: str) -> str:
    """Return letters as the bold ones of formulas, in which posts and titles are set off."""
    return "".join(
        chr(ord(c) - ord("a" if c.islower() else "A") + (0x1D5EE if c.islower() else 0x1D5D4))
        if c.isascii() and c.isalpha()
        else c
        for c in text
    )


WAYS: dict[str, Way] = {
    "decomposed": respelled(decomposed),
    "tones behind letters (Vietnamese)": respelled(tones_behind),
    "compatibility ideographs": respelled(compatibility_ideographs),
    "full-width letters": respelled(full_width),
    "half-width katakana": respelled(half_width),
    "ligatures: ﬁ, ﬂ, ﬀ": respelled(ligatures),
    "styled letters: \U0001d5ee\U0001d5ef": respelled(styled),
    "m² for m2": around("{} 30 m2", "{} 30 m²"),
    "㎡ for m2": around("{} 30 m2", "{} 30 ㎡"),
    "℃ for °C": around("{} 20 °C", "{} 20 ℃"),
    "① for 1": around("1 {}", "① {}"),
    "Ⅳ for IV": around("{} IV", "{} Ⅳ"),
    "… for ...": around("{}...", "{}…"),
    "½ for 1/2": around("1/2 {}", "½ {}"),
    "№ for No.": around("{} No. 4", "{} № 4"),
    "™ for (TM)": around("{word} (TM) {rest}", "{word}™ {rest}"),
    "\u2019 for '": around("{word}'s {rest}", "{word}\u2019s {rest}"),
    "no-break spaces": respelled(lambda text: text.replace(" ", "\u00a0")),
    "no-break hyphens": respelled(lambda text: text.replace("-", "\u2011")),
}
"""How a text is written, and how it may be written otherwise."""

DIFFERENT: dict[str, Way] = {
    "10² and 102": around("{} 10²", "{} 102"),
    "2½ and 21\u20442": around("2½ {}", "21\u20442 {}"),
    "①② and 12": around("{} ①②", "{} 12"),
    "3ª and 3a": around("{} 3ª", "{} 3a"),
}
"""Texts that do not say the same."""

BESIDE: dict[str, Way] = {
    "a word before ™": around("{}", "{}™"),
    "a word before ®": around("{}", "{}®"),
}
"""A word, and the same before a sign."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--demo", help="a finished demo's root")
    parser.add_argument("--languages", nargs="*", choices=LANGUAGES, default=LANGUAGES)
    parser.add_argument("--noisy", type=float, default=0.1, help="share of the texts learned from")
    parser.add_argument("--vocabulary", type=int, default=8000, help="most pieces")
    options = parser.parse_args()
    rng = random.Random(0)
    texts = all_texts(options.demo, options.languages)
    rng.shuffle(texts)
    learned, held_out = texts[: len(texts) // 2], texts[len(texts) // 2 :]
    noisy = [otherwise(text, rng) if rng.random() < options.noisy else text for text in learned]
    tokenizers = [tokenizer_of(noisy, form, options.vocabulary) for form in FORMS]
    print(f"{len(texts):,} texts, half of them held out")
    table_head("the held-out half")
    tell_pieces(held_out, tokenizers, "as it is")
    tell_pieces([otherwise(text, rng) for text in held_out], tokenizers, "written otherwise")
    table_head("the same ids")
    tell_shares(WAYS, held_out, tokenizers, lambda one, other: one == other)
    table_head("told apart")
    tell_shares(DIFFERENT, held_out, tokenizers, lambda one, other: one != other)
    table_head("word is kept")
    words = list(dict.fromkeys(text.partition(" ")[0] for text in held_out))
    tell_shares(BESIDE, words, tokenizers, lambda one, other: other[: len(one)] == one)


def all_texts(demo: str | None, languages: Sequence[str]) -> list[str]:
    """Return distinct texts in NFC, sorted."""
    found = {f"{noun} màu {color}" for noun in NOUNS for color in COLORS if "vi" in languages}
    for language in (*languages, *(() if demo else ("en",))):
        if language not in emoji.LANGUAGES:
            continue
        emoji.config.load_language(language)
        for names in emoji.EMOJI_DATA.values():
            found.add(str(names.get(language, "")).strip(":").replace("_", " "))
    if demo:
        manifest = Path(demo) / "selected" / "training-*.parquet"
        found.update(pl.read_parquet(manifest)["alt_text"].to_list())
    return sorted({unicodedata.normalize("NFC", text) for text in found} - {""})


def otherwise(text: str, rng: random.Random) -> str:
    """Return a text as it may be written otherwise, in a way that is drawn of those that apply."""
    spellings = [found[1] for way in WAYS.values() if (found := way(text)) is not None]
    return rng.choice(spellings)


def tokenizer_of(texts: Sequence[str], form: Normalization, size: int) -> Tokenizer:
    """Return a tokenizer whose words and vocabulary are those of a training with this form."""
    preprocess = Preprocess(normalization=form, split_symbols=True)
    vocabulary = vocabulary_of(texts, size=size, rules=preprocess.words)
    tokenizer = build_tokenizer(vocabulary, preprocess)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def ids_of(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return [encoding.ids for encoding in encodings]


def table_head(what: str) -> None:
    print(f"\n| {what} | {' | '.join(f'`{form}`' for form in FORMS)} |\n|---|---|---|---|")


def tell_pieces(texts: Sequence[str], tokenizers: Sequence[Tokenizer], how: str) -> None:
    """Print how a vocabulary fits to texts."""
    found = [ids_of(tokenizer, texts) for tokenizer in tokenizers]
    unknown = [unknown_id(tokenizer) for tokenizer in tokenizers]
    totals = [sum(map(len, ids)) for ids in found]
    rows = {
        "[UNK] among pieces": [
            f"{sum(row.count(number or 0) for row in ids) / total:.3%}"
            for ids, number, total in zip(found, unknown, totals, strict=True)
        ],
        "pieces a text": [f"{total / len(texts):.2f}" for total in totals],
        "different pieces": [f"{len({one for row in ids for one in row}):,}" for ids in found],
        "letters of the vocabulary": [f"{num_letters(each):,}" for each in tokenizers],
    }
    for name, values in rows.items():
        print(f"| {how}: {name} | {' | '.join(values)} |")


def num_letters(tokenizer: Tokenizer) -> int:
    pieces = set(tokenizer.get_vocab()) - set(SPECIAL_TOKENS)
    return sum(len(piece) == 1 for piece in pieces)


def tell_shares(
    ways: dict[str, Way],
    texts: Sequence[str],
    tokenizers: Sequence[Tokenizer],
    holds: Callable[[list[int], list[int]], bool],
) -> None:
    """Print for how many of a way's pairs something holds, over the first texts that have any."""
    for name, way in ways.items():
        pairs = [pair for text in texts if (pair := way(text)) is not None][:SAMPLE]
        if not pairs:
            continue
        ones, others = zip(*pairs, strict=True)
        shares = [
            sum(map(holds, ids_of(each, ones), ids_of(each, others))) / len(pairs)
            for each in tokenizers
        ]
        print(f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} |")


if __name__ == "__main__":
    main()
