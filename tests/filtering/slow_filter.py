"""Random corpora of many scripts, and the filter stage in a slow, obvious form on plain strings."""

import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import regex

from openalign.files.hashing import candidate_key, hash64
from openalign.files.states import FilterState
from openalign.filtering.config import TextRules
from openalign.filtering.thresholds import Frequent, MinCount, TopK

WORD = regex.compile(r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+")
M64 = (1 << 64) - 1
Row = dict[str, object]
Ngram = tuple[str, ...]

VOCABULARY = [
    word
    for words in (
        "a red apple green pear dog on the grass img_1 1920x1080 dog's",
        "Stra\u00dfe STRASSE DI\u015e d\u0131\u015f \u0130stanbul cafe\u0301 caf\u00e9",
        "\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03bf\u03c2",  # Greek, both sigmas
        "\u8d64\u3044 \u8d64\u3044\u30ea\u30f3\u30b4 \u72ac",  # Japanese
        "\u062a\u0641\u0627\u062d\u0629 \u062d\u0645\u0631\u0627\u0621",  # Arabic
        "\u0932\u093e\u0932 \u0938\u0947\u092c \u0915\u094d\u200d\u0937",  # Devanagari
        "\ufb01sh fish \uff21bc abc so\u00adft x\u00b2",  # ligature, full width, soft hyphen
        "\U0001f34e \U0001f44d\U0001f3fd",  # emoji
    )
    for word in words.split()
]


def row(image_url: str, alt_text: str, language: str | None = "en") -> Row:
    return {
        "key": candidate_key(image_url, alt_text),
        "image_url": image_url,
        "alt_text": alt_text,
        "page_url": "http://pages.example/",
        "found_in": "img_alt",
        "raw_image_url": image_url,
        "page_language": language,
        "text_language": ("en", "de", None)[len(alt_text) % 3],
    }


def corpus(seed: int, num_rows: int = 600) -> list[Row]:
    """Zipf words of many scripts; some texts on many images, some images with many texts."""
    rng = random.Random(seed)
    weights = [1 / (i + 1) for i in range(len(VOCABULARY))]
    frequent = [" ".join(rng.choices(VOCABULARY, weights, k=4)) for _ in range(8)]
    rows = {}
    for number in range(num_rows):
        kind = rng.random()
        text = " ".join(rng.choices(VOCABULARY, weights, k=rng.randrange(9)))
        url = f"http://host{rng.randrange(5)}.example/{number}.jpg"
        if kind < 0.25:
            text = rng.choice([str.upper, str.lower, " ".join])(rng.choice(frequent))
        elif kind < 0.45:
            url = f"http://icons.example/{int(rng.expovariate(0.8))}.gif"
        entry = row(url, text, rng.choice(["en", "en", "en", "de", None]))
        rows[entry["key"]] = entry
    return list(rows.values())


# The slow, obvious form ---------------------------------------------------------------------------


@dataclass
class Expected:
    states: dict[object, str]
    flags: dict[object, set[str]]
    vocabulary: set[Ngram]


def one_spelling(text: object) -> str:
    return " ".join(unicodedata.normalize("NFKC", str(text)).casefold().split())


def ngrams_of(text: object) -> list[Ngram]:
    words = WORD.findall(one_spelling(text))
    return [*((word,) for word in words), *pairwise(words)]


def hash_of(ngram: Ngram) -> int:
    hashes = [hash64(word) & ~1 for word in ngram]
    if len(hashes) == 1:
        return hashes[0]
    value = hashes[0] * 0x9E3779B97F4A7C15 & M64
    value = (value ^ value >> 29) + hashes[1] & M64
    value = value * 0xC2B2AE3D27D4EB4F & M64
    return (value ^ value >> 32) | 1


def frequent_of(
    ranked: Sequence[Ngram], counts: Mapping[Ngram, int], frequent: Frequent
) -> set[Ngram]:
    if isinstance(frequent, MinCount):
        return {ngram for ngram in ranked if counts[ngram] >= frequent.at_least}
    if isinstance(frequent, TopK):
        return set(ranked[: frequent.k])
    vocabulary, covered = set[Ngram](), 0
    for at, ngram in enumerate(ranked):
        enough = covered >= frequent.share * sum(counts.values())
        if enough and counts[ngram] < counts[ranked[at - 1]]:
            break
        vocabulary.add(ngram)
        covered += counts[ngram]
    return vocabulary


def expected_of(rows: Sequence[Row], rules: TextRules) -> Expected:
    counts = Counter(ngram for r in rows for ngram in ngrams_of(r["alt_text"]))
    ranked = sorted(counts, key=lambda ngram: (-counts[ngram], hash_of(ngram)))
    vocabulary = frequent_of(ranked, counts, rules.frequent)
    images, texts = defaultdict(set), defaultdict(set)
    for r in rows:
        images[one_spelling(r["alt_text"])].add(r["image_url"])
        texts[r["image_url"]].add(one_spelling(r["alt_text"]))
    flags: dict[object, set[str]] = {}
    for r in rows:
        words = WORD.findall(one_spelling(r["alt_text"]))
        language = {
            "page": r["page_language"],
            "text": r["text_language"],
            "page_or_text": r["page_language"] or r["text_language"],
        }[rules.language_from]
        good = language in rules.languages if language else rules.keep_unknown_language
        asked = {
            "language": bool(rules.languages) and not good,
            "alt_text_on_many_images": len(images[one_spelling(r["alt_text"])])
            > rules.max_images_per_alt_text,
            "image_with_many_alt_texts": len(texts[r["image_url"]]) > rules.max_alt_texts_per_image,
            "too_few_unigrams": len(words) < rules.min_unigrams,
            "too_many_unigrams": len(words) > rules.max_unigrams,
            "rare_ngram": any(ngram not in vocabulary for ngram in ngrams_of(r["alt_text"])),
        }
        flags[r["key"]] = {rule for rule, drops in asked.items() if drops}
    order = [state.value for state in FilterState]
    states = {key: min(found, key=order.index, default="kept") for key, found in flags.items()}
    return Expected(states, flags, vocabulary)
