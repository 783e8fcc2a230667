"""A model's folder, as a run begins from it: an ALIGN of Hugging Face's library, or our export."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from PIL import Image
from tokenizers import Tokenizer

from openalign.errors import InputError
from openalign.files.folder import Folder, opened
from openalign.images.decoding import Policy
from openalign.train.config import ModelConfig
from openalign.train.data.image_processor import ImageProcessor
from openalign.train.data.preprocess import MOST_UNKNOWN, Preprocess, unknown_share
from openalign.train.data.saved_image_processor import read_image_processor
from openalign.train.data.saved_tokenizer import Bounds, length_settings, load_tokenizer
from openalign.train.data.words import WordRules
from openalign.train.model.architecture import Architecture, check_image_size, read_architecture
from openalign.train.model.pretrained import Pretrained, Words
from openalign.train.model.weights import check_align, load_align
from openalign.train.presets import ImageShape, TextShape
from openalign.train.saved_files import (
    PREPROCESS_FILE,
    SPECIAL_TOKENS_FILE,
    TOKENIZER_SETTINGS_FILE,
    model_files,
    tokenizer_file,
)
from openalign.train.start.agreement import KnownModel, agreed
from openalign.train.start.beginning import ReadOrigin
from openalign.train.start.origin import hash_of_read


def read(
    url: str, model: ModelConfig, *, with_weights: bool, beside: Mapping[str, str]
) -> ReadOrigin:
    """Return a folder's model and the settings that agree with it.

    `beside` has the hashes of files elsewhere that are part of what the run begins from.

    Raises:
        InputError: the folder is not that of an ALIGN, or its images cannot be made in training.
        ConfigError: a setting contradicts it.
    """
    with opened(url) as files:
        names = model_files(files)
        architecture = read_architecture(files)
        preprocess = read_preprocess(files, architecture)
        text = architecture.text_config
        words = read_words(
            files,
            Bounds(
                vocabulary_size=text.vocab_size,
                max_tokens=min(text.max_position_embeddings, preprocess.max_tokens),
            ),
        )
        found = _found(architecture, preprocess, words.tokenizer)
        settings, taken = agreed(model, found, origin=url)
        words = cut_at(words, settings.max_tokens)
        preprocess = with_words(preprocess, words.tokenizer)
        _check_image_size(url, architecture, settings.crop_px)
        if not with_weights:
            check_align(files)
        pretrained = Pretrained(
            vision=architecture.vision_config,
            text=text,
            words=words,
            preprocess=preprocess,
            weights=load_align(files).state_dict() if with_weights else {},
        )
        content = ""
        if with_weights:
            for name in names:
                files.path(name)  # hashed, also where nothing was read of it
            content = hash_of_read({**{name: files.sha256[name] for name in names}, **beside})
    return ReadOrigin(model=settings, pretrained=pretrained, taken=taken, content=content)


def read_words(folder: Folder, bounds: Bounds) -> Words:
    """Return a folder's tokenizer, and the files that it was read from.

    Raises:
        InputError: they are broken, contradict each other, or are of another model.
    """
    tokenizer = load_tokenizer(folder, bounds)
    file = tokenizer_file(folder)
    names = (file, TOKENIZER_SETTINGS_FILE, SPECIAL_TOKENS_FILE)
    return Words(
        tokenizer=tokenizer,
        url=folder.url_of(file),
        files={name: folder.read(name) for name in names if name in folder.names},
    )


def cut_at(words: Words, max_tokens: int) -> Words:
    """Return a tokenizer that cuts texts at so many tokens, and whose files say so to others.

    Every other key of its files stays as it is.
    """
    tokenizer = Tokenizer.from_str(words.tokenizer.to_str())
    tokenizer.enable_truncation(max_tokens)
    saved: dict[str, Any] = json.loads(words.files.get(TOKENIZER_SETTINGS_FILE, b"{}"))
    settings = saved | length_settings(max_tokens)
    if settings == saved:
        return replace(words, tokenizer=tokenizer)
    text = json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    files = {**words.files, TOKENIZER_SETTINGS_FILE: text.encode()}
    return replace(words, tokenizer=tokenizer, files=files)


def check_texts(pretrained: Pretrained | None, alt_texts: Sequence[str]) -> None:
    """Check that a tokenizer that comes along knows some words of alt-texts; None brings none.

    Raises:
        InputError: nearly all of their tokens stand for unknown words.
    """
    if pretrained is None or pretrained.words is None or pretrained.text is None:
        return
    words = pretrained.words
    share = unknown_share(words.tokenizer, alt_texts)
    if share > MOST_UNKNOWN:
        raise InputError(
            f"{share:.0%} of the tokens of alt-texts, such as {alt_texts[0]!r}, stand for words "
            f"that {words.url} does not know: it has {words.tokenizer.get_vocab_size():,} tokens, "
            f"and its model {pretrained.text.vocab_size:,} ids",
            hint="if tokens are missing, save the tokenizer again that the model was trained with; "
            "if the texts are in another script, begin from a model that was trained on it",
        )


def tokens_at_most(tokenizer: Tokenizer) -> int:
    """Return at how many tokens a tokenizer cuts a text."""
    assert tokenizer.truncation is not None
    return int(tokenizer.truncation["max_length"])


def word_rules(tokenizer: Tokenizer) -> WordRules | None:
    """Return how a BERT's tokenizer or one of ours cuts words; None for one made otherwise.

    Of accents, which a BERT's may strip, the rules say nothing.
    """
    saved = json.loads(tokenizer.to_str())
    whole: dict[str, Any] = saved.get("normalizer") or {}
    steps = {step["type"]: step for step in whole.get("normalizers", [whole]) if "type" in step}
    bert = steps.get("BertNormalizer")
    if bert is None:
        return None
    cuts: dict[str, Any] = saved.get("pre_tokenizer") or {}
    return WordRules(
        lowercase=bert["lowercase"],
        normalization="nfc" if "NFC" in steps else "nfkc" if "NFKC" in steps else "none",
        split_symbols=cuts.get("type") == "Sequence",
    )


def with_words(preprocess: Preprocess, tokenizer: Tokenizer) -> Preprocess:
    """Return the settings with what a tokenizer says of texts laid in."""
    rules = word_rules(tokenizer) or preprocess.words
    return replace(preprocess, max_tokens=tokens_at_most(tokenizer), **asdict(rules))


def read_preprocess(folder: Folder, architecture: Architecture) -> Preprocess:
    """Return what images go through; texts have as many tokens as the model has positions."""
    if PREPROCESS_FILE in folder.names:
        return Preprocess.load(folder)
    processor = read_image_processor(folder, Policy.OURS)
    if processor is None:
        side_px = architecture.vision_config.image_size
        processor = ImageProcessor.of_paper(side_px, Policy.OURS)
    max_tokens = architecture.text_config.max_position_embeddings
    return replace(_as_in_training(folder.url, processor), max_tokens=max_tokens)


def _as_in_training(url: str, processor: ImageProcessor) -> Preprocess:
    """Return an image processor's options as training has them.

    Raises:
        InputError: training cannot do what they say.
    """
    size, crop = processor.size, processor.output_px
    if not processor.do_resize or not isinstance(size, tuple) or size[0] != size[1]:
        raise _unlike(
            url, "resizes to a square", f"`do_resize` {processor.do_resize}, `size` {size}"
        )
    if crop[0] != crop[1] or crop[0] > size[0]:
        raise _unlike(url, "crops a square from it", f"`size` {size}, `crop_size` {crop}")
    # Colors from 0 to 255 are multiplied and then shifted, as `ImageProcessor.table` has it.
    colors: list[tuple[float, float]] = []
    for mean, std in zip(processor.image_mean, processor.image_std, strict=True):
        factor, shift = 1.0, 0.0
        if processor.do_rescale:
            factor, shift = processor.rescale_factor, -float(processor.rescale_offset)
        if processor.do_normalize:
            factor, shift = factor / std, (shift - mean) / std
        if processor.include_top:
            factor, shift = factor / std, shift / std
        colors.append((-shift / (255 * factor), 1 / (255 * factor)))
    red, green, blue = colors
    return Preprocess(
        resize_px=size[0],
        crop_px=crop[0],
        resample=Image.Resampling(processor.resample).value,
        mean=(red[0], green[0], blue[0]),
        std=(red[1], green[1], blue[1]),
    )


def _unlike(url: str, needed: str, found: str) -> InputError:
    return InputError(
        f"{url}: its images are prepared with {found}; training {needed}",
        hint="a run cannot begin from this model; only `openalign evaluate` reads it",
    )


def _found(architecture: Architecture, preprocess: Preprocess, tokenizer: Tokenizer) -> KnownModel:
    image, text = architecture.vision_config, architecture.text_config
    return KnownModel.of(
        word_rules(tokenizer),
        image=ImageShape(image.width_coefficient, image.depth_coefficient),
        text=TextShape(text.num_hidden_layers, text.hidden_size, text.num_attention_heads),
        resize_px=preprocess.resize_px,
        crop_px=preprocess.crop_px,
        max_tokens=tokens_at_most(tokenizer),
        num_positions=text.max_position_embeddings,
        vocabulary_size=text.vocab_size,
    )


def _check_image_size(url: str, architecture: Architecture, crop_px: int) -> None:
    try:
        check_image_size(architecture, height_px=crop_px, width_px=crop_px)
    except ValueError as error:
        raise InputError(f"{url}: {error}") from error
