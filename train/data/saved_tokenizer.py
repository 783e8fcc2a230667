"""The tokenizer of a model's folder: `tokenizer.json`, or `vocab.txt` as the library reads it.

`tokenizer_config.json` says how many tokens a text may have, and which of BERT's options
`vocab.txt` was made for. `tokenizer.json` says the latter itself. With a BERT's class the library
builds the tokenizer anew from those options, so both files must say the same.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from openalign.errors import InputError
from openalign.files.folder import Folder, as_record
from openalign.train.saved_files import (
    CONFIG_FILE,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_FILE,
    TOKENIZER_SETTINGS_FILE,
    VOCABULARY_FILE,
    tokenizer_file,
)

_BERT = (None, "BertTokenizer", "BertTokenizerFast")
"""Classes that the library builds of the vocabulary; the first is an ALIGN's unless named."""

_WHOLE = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes for which the library takes `tokenizer.json` as it is."""

_PARTS = {"model": "WordPiece", "normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer"}
"""What a BERT's tokenizer is made of."""

_FIXED = {
    "normalizer.clean_text": True,
    "model.continuing_subword_prefix": "##",
    "model.max_input_chars_per_word": 100,
}
"""Options of the parts that the library takes from no file."""

_SPECIAL_TOKENS = re.compile(r".*_token$|additional_special_tokens$")
"""The keys of `special_tokens_map.json`."""

_ADDED_TOKENS_FILE = "added_tokens.json"
_SAVE_AGAIN = "load the tokenizer with the library, and save it again"


class _Token(msgspec.Struct, frozen=True):
    """A special token as the library writes it when it has properties."""

    content: str


class _SpecialTokens(msgspec.Struct, frozen=True, kw_only=True):
    """The special tokens of a BERT."""

    pad_token: str | _Token | None = None
    unk_token: str | _Token | None = None
    cls_token: str | _Token | None = None
    sep_token: str | _Token | None = None
    mask_token: str | _Token | None = None


class _Settings(_SpecialTokens, frozen=True, kw_only=True):
    """What is read of `tokenizer_config.json`. None is the library's default for a BERT."""

    tokenizer_class: str | None = None
    auto_map: Any = None
    do_lower_case: bool | None = None
    strip_accents: bool | None = None
    tokenize_chinese_chars: bool | None = None
    model_max_length: int | float | None = None
    padding_side: str | None = None
    truncation_side: str | None = None
    split_special_tokens: bool | None = None
    added_tokens_decoder: dict[str, _Token] | None = None
    extra_special_tokens: list[str | _Token] | dict[str, str | _Token] | None = None
    additional_special_tokens: list[str | _Token] | None = None

    @property
    def specials(self) -> dict[str, str]:
        """The special tokens by their part."""
        named = {
            "pad": self.pad_token,
            "unk": self.unk_token,
            "cls": self.cls_token,
            "sep": self.sep_token,
            "mask": self.mask_token,
        }
        return {
            part: _content(token) if token else f"[{part.upper()}]" for part, token in named.items()
        }


def _content(token: str | _Token) -> str:
    return token.content if isinstance(token, _Token) else token


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a model can take: the number of its word pieces, and of its positions."""

    vocabulary_size: int
    max_tokens: int


def length_settings(max_tokens: int) -> dict[str, Any]:
    """Return the keys of `tokenizer_config.json` that have the library cut texts as training does.

    `AlignProcessor` takes the last two for its own defaults, which are 64 and no truncation.
    """
    return {"model_max_length": max_tokens, "max_length": max_tokens, "truncation": True}


def load_tokenizer(folder: Folder, bounds: Bounds) -> Tokenizer:
    """Read a folder's tokenizer: it cuts, marks the ends, truncates, and pads to the longest text.

    A text has at most `model_max_length` tokens, and never more than the model has positions.

    Raises:
        InputError: the files are broken, contradict each other, or are of another model.
    """
    url = folder.url_of(TOKENIZER_SETTINGS_FILE)
    settings, named = _read_settings(folder)
    name = tokenizer_file(folder)
    _check_class(url, settings.tokenizer_class, name)
    if name == TOKENIZER_FILE:
        tokenizer = _from_json(folder, settings)
    else:
        tokenizer = _from_vocabulary(folder, settings, named)
    _check_ids(folder.url_of(name), tokenizer, bounds)
    _check_pieces(folder.url_of(name), tokenizer, bounds)
    pad = settings.specials["pad"]
    pad_id = tokenizer.token_to_id(pad)
    if pad_id is None:
        raise InputError(f"{folder.url_of(name)} has no token {pad!r}, which texts are padded with")
    _check_named(folder.url_of(name), settings, named, tokenizer)
    tokenizer.enable_truncation(_max_tokens(url, settings, bounds))
    tokenizer.enable_padding(pad_id=pad_id, pad_token=pad)
    return tokenizer


def _read_settings(folder: Folder) -> tuple[_Settings, frozenset[str]]:
    """Return the settings, and all tokens that they name: the library never cuts those."""
    url = folder.url_of(TOKENIZER_SETTINGS_FILE)
    values: dict[str, Any] = {}
    if TOKENIZER_SETTINGS_FILE in folder.names:
        values = folder.read_json(TOKENIZER_SETTINGS_FILE, dict[str, Any])
    settings = as_record(values, _Settings, where=url)
    if settings.added_tokens_decoder is None and SPECIAL_TOKENS_FILE in folder.names:
        # The older form: special tokens in a file of their own, which go before.
        older = folder.read_json(SPECIAL_TOKENS_FILE, dict[str, Any])
        as_record(older, _Settings, where=folder.url_of(SPECIAL_TOKENS_FILE))
        is_token = _SPECIAL_TOKENS.match
        values |= {key: token for key, token in older.items() if token and is_token(key)}
        settings = as_record(values, _Settings, where=url)
    if settings.auto_map is not None:
        raise InputError(f"{url}: `auto_map` names code to run, which is not done; remove the key")
    for key in ("padding_side", "truncation_side"):
        if getattr(settings, key) not in (None, "right"):
            raise InputError(
                f"{url}: `{key}` must be 'right', got {getattr(settings, key)!r}: a text's feature "
                "is that of its first token"
            )
    if settings.split_special_tokens:
        raise InputError(
            f"{url}: `split_special_tokens` must be absent or false, got true: special tokens in a "
            "text are not cut"
        )
    return settings, _named_tokens(values, settings)


def _named_tokens(values: Mapping[str, Any], settings: _Settings) -> frozenset[str]:
    extra = settings.extra_special_tokens or []
    typed = [
        *(settings.added_tokens_decoder or {}).values(),
        *(extra.values() if isinstance(extra, dict) else extra),
        *(settings.additional_special_tokens or []),
    ]
    parts = [token for key, token in values.items() if key.endswith("_token")]
    plain = [token.get("content") if isinstance(token, dict) else token for token in parts]
    named = [*map(_content, typed), *(token for token in plain if isinstance(token, str))]
    return frozenset(named)


def _check_class(url: str, found: str | None, file: str) -> None:
    allowed = (*_BERT, *_WHOLE) if file == TOKENIZER_FILE else _BERT
    if found not in allowed:
        raise InputError(
            f"{url}: `tokenizer_class` must be one of {', '.join(filter(None, allowed))} for a "
            f"{file}, got {found!r}"
        )


def _max_tokens(url: str, settings: _Settings, bounds: Bounds) -> int:
    """Return how many tokens a text may have; the library writes 10^30 where nothing is said."""
    said = settings.model_max_length
    if said is None:
        return bounds.max_tokens
    if said < 3:
        raise InputError(
            f"{url}: `model_max_length` must be at least 3, both ends and one word, got {said}"
        )
    return int(min(said, bounds.max_tokens))


def _check_named(
    url: str, settings: _Settings, named: frozenset[str], tokenizer: Tokenizer
) -> None:
    """Refuse a tokenizer that cuts a token which the settings name."""
    whole = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    if settings.tokenizer_class in _BERT:
        known = tokenizer.get_vocab(with_added_tokens=True)
        named = named.union(token for token in settings.specials.values() if token in known)
    for token in sorted(named - whole):
        raise InputError(
            f"{url} cuts {token!r} as any text, and the settings beside it name it as a token",
            hint=_SAVE_AGAIN,
        )


def _check_ids(url: str, tokenizer: Tokenizer, bounds: Bounds) -> None:
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    highest = max(vocabulary, key=vocabulary.__getitem__, default="")
    if not vocabulary or vocabulary[highest] >= bounds.vocabulary_size:
        found = f"gives {highest!r} the id {vocabulary[highest]}" if vocabulary else "is empty"
        raise InputError(
            f"{url} {found}; the model of {CONFIG_FILE} has the ids below {bounds.vocabulary_size}",
            hint="the tokenizer is that of another model",
        )


def _check_pieces(url: str, tokenizer: Tokenizer, bounds: Bounds) -> None:
    """Refuse a tokenizer that was saved without its vocabulary: all texts would be the same."""
    marks = [t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special]
    if set(tokenizer.get_vocab(with_added_tokens=True)) <= set(marks):
        raise InputError(
            f"{url} has {len(marks)} special tokens and no other: every word of a text would be "
            f"unknown; the model of {CONFIG_FILE} has {bounds.vocabulary_size:,} ids",
            hint="save the tokenizer again that the model was trained with, vocabulary and all",
        )


def _from_json(folder: Folder, settings: _Settings) -> Tokenizer:
    url = folder.url_of(TOKENIZER_FILE)
    saved = folder.read_json(TOKENIZER_FILE, dict[str, Any])
    try:
        tokenizer = Tokenizer.from_str(folder.read(TOKENIZER_FILE).decode())
    except Exception as error:  # the library raises nothing more special
        raise InputError(f"{url} is no tokenizer: {error}") from error
    for section in ("padding", "truncation"):
        direction = (saved.get(section) or {}).get("direction", "Right")
        if direction != "Right":
            raise InputError(f"{url}: `{section}.direction` must be 'Right', got {direction!r}")
    tokenizer.no_padding()  # what the last call before saving asked for is kept in the file
    if settings.tokenizer_class in _BERT:
        _check_agreement(url, settings, saved)
        ends = [tokenizer.token_to_id(settings.specials[part]) for part in ("cls", "sep")]
        if tokenizer.encode("").ids != ends:
            raise InputError(
                f"{url} does not put a text between {settings.specials['cls']!r} and "
                f"{settings.specials['sep']!r}, as a BERT's tokenizer does",
                hint=_SAVE_AGAIN,
            )
    return tokenizer


def _check_agreement(url: str, settings: _Settings, saved: Mapping[str, Any]) -> None:
    """Refuse a `tokenizer.json` that is not what the library builds of the settings."""
    for part, wanted in _PARTS.items():
        _check_part(url, part, (saved.get(part) or {}).get("type"), wanted)
    for key, wanted in _FIXED.items():
        part, _, option = key.partition(".")
        _check_part(url, key, saved[part].get(option), wanted)
    _check_part(url, "model.unk_token", saved["model"].get("unk_token"), settings.specials["unk"])
    normalizer = saved["normalizer"]
    pairs = {
        "do_lower_case": (settings.do_lower_case is not False, normalizer.get("lowercase")),
        "strip_accents": (settings.strip_accents, normalizer.get("strip_accents")),
        "tokenize_chinese_chars": (
            settings.tokenize_chinese_chars is not False,
            normalizer.get("handle_chinese_chars"),
        ),
    }
    for key, (said, found) in pairs.items():
        if said != found:
            raise InputError(
                f"{url} was made with `{key}` {found}, and {TOKENIZER_SETTINGS_FILE} says {said} "
                "(or nothing, which means that)",
                hint=_SAVE_AGAIN,
            )


def _check_part(url: str, part: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise InputError(
            f"{url}: its {part} is {found!r}, and that of a BERT's tokenizer is {wanted!r}",
            hint=_SAVE_AGAIN,
        )


def _from_vocabulary(folder: Folder, settings: _Settings, named: frozenset[str]) -> Tokenizer:
    """Build what the library's `BertTokenizer` builds of `vocab.txt`."""
    url = folder.url_of(VOCABULARY_FILE)
    if folder.read(VOCABULARY_FILE).startswith(codecs.BOM_UTF8):
        # The library takes it for a part of the first token, and makes a new one, with an id that
        # the model does not have.
        raise InputError(
            f"{url} begins with a byte-order mark, which would be part of its first token",
            hint="save it as UTF-8 without the mark, its first three bytes",
        )
    try:
        vocabulary: dict[str, int] = WordPiece.read_file(str(folder.path(VOCABULARY_FILE)))
    except Exception as error:  # the library raises nothing more special
        raise InputError(f"{url} is no list of word pieces: {error}") from error
    specials = settings.specials
    for part in ("pad", "unk", "cls", "sep"):
        if specials[part] not in vocabulary:
            raise InputError(f"{url} has no line {specials[part]!r}, the {part} token")
    _refuse_added_tokens(folder, named.difference(specials.values()))
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=specials["unk"]))
    tokenizer.normalizer = BertNormalizer(  # pyright: ignore[reportAttributeAccessIssue]
        clean_text=True,
        handle_chinese_chars=settings.tokenize_chinese_chars is not False,
        strip_accents=settings.strip_accents,
        lowercase=settings.do_lower_case is not False,
    )
    tokenizer.pre_tokenizer = BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.add_special_tokens([token for token in specials.values() if token in vocabulary])
    first, last = specials["cls"], specials["sep"]
    ends = [(first, vocabulary[first]), (last, vocabulary[last])]
    try:
        template = TemplateProcessing(single=f"{first} $A {last}", special_tokens=ends)
    except ValueError as error:
        raise InputError(f"{url}: {first!r} and {last!r} cannot mark a text's ends") from error
    tokenizer.post_processor = template  # pyright: ignore[reportAttributeAccessIssue]
    return tokenizer


def _refuse_added_tokens(folder: Folder, added: frozenset[str]) -> None:
    """Refuse tokens beside a BERT's own, which only `tokenizer.json` describes whole."""
    if added:
        name = TOKENIZER_SETTINGS_FILE
    elif _ADDED_TOKENS_FILE in folder.names:
        name = _ADDED_TOKENS_FILE
    else:
        return
    raise InputError(
        f"{folder.url_of(name)} adds tokens to {VOCABULARY_FILE}",
        hint=f"{_SAVE_AGAIN}: it writes {TOKENIZER_FILE}, which has them",
    )
