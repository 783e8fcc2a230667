import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertTokenizer

from openalign.errors import InputError
from openalign.files.folder import opened
from openalign.train.data.preprocess import tokenize
from openalign.train.data.saved_tokenizer import Bounds, load_tokenizer

from saved_align import WORDS  # isort: skip

BOUNDS = Bounds(vocabulary_size=len(WORDS), max_tokens=64)

TEXTS = (
    "a red square",
    "Red, GREEN!!! 'red'",
    "Café CAFÉ cafe\u0301 é",
    "日本の猫",
    "red🍎 🍎 🍏",
    "a\x00\x07b\u200bc\ufffdd\u00ad",
    "a\u3000b\u00a0c\td\ne",
    "",
    "   ",
    "red " * 200,
    "b" * 101,
    "b" * 100,
    "[MASK] [SEP] [sep] [PAD]",
    "ßtraße İstanbul",
    "##s #",
)

OPTIONS: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "case kept": {"do_lower_case": False},
    "accents kept": {"strip_accents": False},
    "accents stripped, case kept": {"strip_accents": True, "do_lower_case": False},
    "CJK not split": {"tokenize_chinese_chars": False},
    "a class and a length": {"tokenizer_class": "BertTokenizer", "model_max_length": 10},
    "the older class": {"tokenizer_class": "BertTokenizerFast", "model_max_length": 64},
    "tokens with properties": {
        "cls_token": {"__type": "AddedToken", "content": "[CLS]", "normalized": False},
        "added_tokens_decoder": {"2": {"content": "[CLS]", "special": True, "normalized": False}},
    },
    "other ends": {"cls_token": "a", "sep_token": ".", "pad_token": "!", "unk_token": "#"},
}


def write(folder: Path, settings: dict[str, Any] | None, words: tuple[str, ...] = WORDS) -> None:
    """Write a folder that has `vocab.txt` alone, or with `tokenizer_config.json`."""
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    (folder / "config.json").write_text('{"model_type": "align"}')  # for `AutoTokenizer`
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def load(folder: Path, bounds: Bounds = BOUNDS) -> Tokenizer:
    with opened(str(folder)) as files:
        return load_tokenizer(files, bounds)


def refusal(folder: Path, bounds: Bounds = BOUNDS) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, bounds)
    return str(caught.value)


def assert_cuts_as_the_library(folder: Path, max_tokens: int) -> None:
    expected = AutoTokenizer.from_pretrained(folder)(
        list(TEXTS), truncation=True, max_length=max_tokens, padding=True
    )

    found = tokenize(load(folder), TEXTS)

    for text, ours, theirs in zip(TEXTS, found.ids.tolist(), expected["input_ids"], strict=True):
        assert ours == theirs, text
    assert found.mask.tolist() == expected["attention_mask"]
    assert found.ids.shape[1] == max_tokens


@pytest.mark.parametrize("options", [pytest.param(OPTIONS[name], id=name) for name in OPTIONS])
def test_a_vocabulary_is_cut_with_as_the_library_does(
    options: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path, options)

    assert_cuts_as_the_library(tmp_path, options.get("model_max_length", 64))


def test_a_vocabulary_needs_no_settings(tmp_path: Path) -> None:
    write(tmp_path, None)

    assert_cuts_as_the_library(tmp_path, 64)


def test_a_vocabularys_lines_are_read_as_the_library_reads_them(tmp_path: Path) -> None:
    """Ends of lines of another system, blanks behind a word, an empty line, a word twice."""
    write(tmp_path, {})
    lines = [*WORDS[:5], " red", "green  ", "", "a", "a", "square"]
    (tmp_path / "vocab.txt").write_bytes("\r\n".join(lines).encode())

    assert_cuts_as_the_library(tmp_path, 64)


def test_special_tokens_of_the_older_file_go_before(tmp_path: Path) -> None:
    write(tmp_path, {"cls_token": "[CLS]"})
    (tmp_path / "special_tokens_map.json").write_text('{"cls_token": {"content": "a"}}')

    assert_cuts_as_the_library(tmp_path, 64)
    assert tokenize(load(tmp_path), ["red"]).ids.tolist() == [[5, 6, 3]]


@pytest.mark.parametrize(
    "options",
    [{}, {"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}],
    ids=str,
)
def test_what_the_library_saves_is_cut_with_as_the_library_does(
    options: dict[str, Any], tmp_path: Path
) -> None:
    words = {word: number for number, word in enumerate(WORDS)}
    BertTokenizer(vocab=words, model_max_length=12, **options).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "align"}')
    assert (tmp_path / "tokenizer.json").exists()

    assert_cuts_as_the_library(tmp_path, 12)


def test_a_text_is_never_longer_than_the_model_has_positions(tmp_path: Path) -> None:
    """The library writes 10^30 where no length is known."""
    for said in (10**30, 1e30, None, 100):
        write(tmp_path, {"model_max_length": said})
        ids = tokenize(load(tmp_path, Bounds(len(WORDS), 20)), ["red " * 200]).ids
        assert ids.shape == (1, 20), said
        assert ids[0, -1] == 3

    write(tmp_path, {"model_max_length": 3})
    assert tokenize(load(tmp_path), ["red " * 200]).ids.tolist() == [[2, 6, 3]]


@pytest.mark.parametrize("name", ["BertTokenizer", "PreTrainedTokenizerFast"])
def test_a_tokenizer_that_was_used_before_it_was_saved_cuts_as_the_library_does(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path, {})
    used = AutoTokenizer.from_pretrained(tmp_path)
    used(["red"], padding="max_length", truncation=True, max_length=7)  # as `AlignProcessor` does
    used.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": name, "model_max_length": 64}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    saved = json.loads((tmp_path / "tokenizer.json").read_text())
    assert saved["padding"]["strategy"] == {"Fixed": 7}
    assert saved["truncation"]["max_length"] == 7

    assert_cuts_as_the_library(tmp_path, 64)


def test_padding_is_the_tokenizers_own_and_is_masked(tmp_path: Path) -> None:
    write(tmp_path, {"pad_token": "."}, WORDS)

    batch = tokenize(load(tmp_path), ["red green red", "red"])

    assert batch.ids[1].tolist() == [2, 6, 3, WORDS.index("."), WORDS.index(".")]
    assert batch.mask.tolist() == [[1] * 5, [1, 1, 1, 0, 0]]


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {})

    load(tmp_path, Bounds(len(WORDS), 64))
    assert (
        f"vocab.txt gives '##é' the id {len(WORDS) - 1}; the model of config.json has the ids "
        f"below {len(WORDS) - 1}"
    ) in refusal(tmp_path, Bounds(len(WORDS) - 1, 64))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_lower_case": "no"}, "Expected `bool | null`, got `str` - at `$.do_lower_case`"),
        ({"strip_accents": 0}, "Expected `bool | null`, got `int` - at `$.strip_accents`"),
        ({"tokenize_chinese_chars": "true"}, "got `str` - at `$.tokenize_chinese_chars`"),
        ({"model_max_length": "64"}, "got `str` - at `$.model_max_length`"),
        ({"model_max_length": 2}, "`model_max_length` must be at least 3"),
        ({"padding_side": "left"}, "`padding_side` must be 'right', got 'left'"),
        ({"truncation_side": "left"}, "`truncation_side` must be 'right', got 'left'"),
        ({"auto_map": {"AutoTokenizer": ["x.Y", None]}}, "`auto_map` names code to run"),
        ({"tokenizer_class": "GPT2Tokenizer"}, "must be one of BertTokenizer, BertTokenizerFast"),
        ({"sep_token": "</s>"}, "vocab.txt has no line '</s>', the sep token"),
        ({"extra_special_tokens": ["<x>"]}, "tokenizer_config.json adds tokens to vocab.txt"),
        ({"additional_special_tokens": ["<x>"]}, "tokenizer_config.json adds tokens to vocab.txt"),
        ({"added_tokens_decoder": {"99": {"content": "<x>"}}}, "adds tokens to vocab.txt"),
        ({"additional_special_tokens": ["red"]}, "tokenizer_config.json adds tokens to vocab.txt"),
        ({"bos_token": "red"}, "tokenizer_config.json adds tokens to vocab.txt"),
        ({"split_special_tokens": True}, "`split_special_tokens` must be absent or false"),
    ],
    ids=str,
)
def test_settings_that_are_not_done_are_refused_by_name(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write(tmp_path, settings)

    assert message in refusal(tmp_path)


def test_tokens_in_a_file_of_their_own_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {})
    (tmp_path / "added_tokens.json").write_text('{"<x>": 99}')

    assert "added_tokens.json adds tokens to vocab.txt" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "vocab.txt is no list of word pieces: "),
        (b"", "vocab.txt has no line '[PAD]', the pad token"),
        (b"\xef\xbb\xbf[PAD]\n[UNK]\n", "vocab.txt begins with a byte-order mark"),
    ],
)
def test_a_file_that_is_no_vocabulary_is_named(
    content: bytes, message: str, tmp_path: Path
) -> None:
    write(tmp_path, {})
    (tmp_path / "vocab.txt").write_bytes(content)

    assert message in refusal(tmp_path)


@pytest.mark.parametrize("form", ["vocab.txt", "tokenizer.json"])
def test_a_tokenizer_that_was_saved_without_its_words_is_refused(tmp_path: Path, form: str) -> None:
    if form == "vocab.txt":
        write(tmp_path, None, WORDS[:5])
    else:
        words = {word: number for number, word in enumerate(WORDS[:5])}
        BertTokenizer(vocab=words).save_pretrained(tmp_path)

    said = refusal(tmp_path)

    assert f"{form} has 5 special tokens and no other: every word of a text would be" in said
    assert f"the model of config.json has {len(WORDS)} ids" in said


def test_one_word_is_enough_for_a_tokenizer(tmp_path: Path) -> None:
    write(tmp_path, None, WORDS[:6])

    assert load(tmp_path).encode("a").tokens == ["[CLS]", "a", "[SEP]"]


def saved_json(folder: Path, **changes: Any) -> None:
    """Write a `tokenizer.json` that the library saved, and change sections of it."""
    words = {word: number for number, word in enumerate(WORDS)}
    BertTokenizer(vocab=words).save_pretrained(folder)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"type": "Unknown"}}, "tokenizer.json is no tokenizer: "),
        (
            {
                "padding": {
                    "strategy": "BatchLongest",
                    "direction": "Left",
                    "pad_id": 0,
                    "pad_to_multiple_of": None,
                    "pad_type_id": 0,
                    "pad_token": "[PAD]",
                }
            },
            "`padding.direction` must be 'Right', got 'Left'",
        ),
    ],
    ids=["model", "side"],
)
def test_a_tokenizer_json_that_is_none_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    saved_json(tmp_path, **changes)

    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"do_lower_case": False},
            "was made with `do_lower_case` True, and ",
        ),
        ({"strip_accents": True}, "was made with `strip_accents` None, and "),
        ({"tokenize_chinese_chars": False}, "was made with `tokenize_chinese_chars` True, and "),
        ({"pad_token": "<pad>"}, "tokenizer.json has no token '<pad>', which texts are padded"),
        ({"cls_token": "a"}, "tokenizer.json does not put a text between 'a' and '[SEP]'"),
        ({"tokenizer_class": "GPT2Tokenizer"}, "`tokenizer_class` must be one of BertTokenizer, "),
    ],
    ids=str,
)
def test_two_files_that_contradict_each_other_are_refused(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    saved_json(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))

    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalizer": {"type": "NFC"}}, "its normalizer is 'NFC', and that of a BERT's"),
        ({"pre_tokenizer": None}, "its pre_tokenizer is None, and that of a BERT's tokenizer"),
        ({"post_processor": None}, "does not put a text between '[CLS]' and '[SEP]'"),
    ],
    ids=str,
)
def test_the_library_takes_a_tokenizer_as_it_is_only_if_its_class_is_no_berts(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """For a BERT's class, and for an ALIGN without one, it takes the vocabulary alone."""
    saved_json(tmp_path, **changes)
    settings = tmp_path / "tokenizer_config.json"

    for said in ({"tokenizer_class": "BertTokenizer"}, {}):
        settings.write_text(json.dumps(said))
        assert message in refusal(tmp_path)
    settings.unlink()
    assert message in refusal(tmp_path)

    settings.write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": false}')
    (tmp_path / "config.json").write_text('{"model_type": "align"}')
    text = "Red café"
    assert (
        load(tmp_path).encode(text).ids == AutoTokenizer.from_pretrained(tmp_path)(text).input_ids
    )


def other_part(name: str, **values: Any) -> dict[str, Any]:
    """Return a part of the `tokenizer.json` of `saved_json` with other values."""
    words = {word: number for number, word in enumerate(WORDS)}
    saved = json.loads(BertTokenizer(vocab=words).backend_tokenizer.to_str())
    return {name: saved[name] | values}


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        (other_part("normalizer", clean_text=False), {}, "its normalizer.clean_text is False, and"),
        (
            other_part("model", continuing_subword_prefix="b"),
            {},
            "its model.continuing_subword_prefix is 'b', and that of a BERT's tokenizer is '##'",
        ),
        (other_part("model", max_input_chars_per_word=2), {}, "its model.max_input_chars_per_word"),
        (other_part("model", unk_token="a"), {}, "its model.unk_token is 'a', and that of"),
        ({}, {"unk_token": "a"}, "its model.unk_token is '[UNK]', and that of a BERT's"),
        ({}, {"pad_token": "red"}, "cuts 'red' as any text, and the settings beside it name it"),
        ({}, {"bos_token": "red"}, "cuts 'red' as any text"),
        ({}, {"new_token": {"__type": "AddedToken", "content": "red"}}, "cuts 'red' as any text"),
        ({}, {"extra_special_tokens": {"color": "red"}}, "cuts 'red' as any text"),
        ({}, {"added_tokens_decoder": {"6": {"content": "red"}}}, "cuts 'red' as any text"),
        ({"added_tokens": []}, {}, "cuts '[CLS]' as any text"),
    ],
    ids=str,
)
def test_a_tokenizer_json_that_the_library_does_not_take_as_it_is_is_refused(
    changes: dict[str, Any], settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    saved_json(tmp_path, **changes)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    (tmp_path / "config.json").write_text('{"model_type": "align"}')
    text = "reds \x07red x [MASK]"
    as_it_is = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text).ids

    assert as_it_is != AutoTokenizer.from_pretrained(tmp_path)(text).input_ids
    assert message in refusal(tmp_path)


def test_tokens_of_the_older_file_are_named_too(tmp_path: Path) -> None:
    saved_json(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    older = tmp_path / "special_tokens_map.json"
    older.write_text('{"cls_token": "[CLS]", "mask_token": {"content": "[MASK]"}}')
    load(tmp_path)

    older.write_text('{"additional_special_tokens": ["red"]}')

    assert "tokenizer.json cuts 'red' as any text" in refusal(tmp_path)


def test_an_option_that_is_left_unsaid_is_the_librarys_default(tmp_path: Path) -> None:
    words = {word: number for number, word in enumerate(WORDS)}
    BertTokenizer(vocab=words, do_lower_case=False).save_pretrained(tmp_path)
    load(tmp_path)

    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')

    assert "tokenizer.json was made with `do_lower_case` False, and " in refusal(tmp_path)
