import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from saved_align import read_processor
from tokenizers import Tokenizer
from transformers import (
    AlignModel,
    AlignProcessor,
    AutoImageProcessor,
    AutoProcessor,
    AutoTokenizer,
)

from openalign.files.folder import opened
from openalign.images import decoding
from openalign.images.decoding import Policy
from openalign.telemetry import read_json_lines
from openalign.train import journal
from openalign.train.data.image_processor import ImageProcessor
from openalign.train.data.preprocess import (
    SPECIAL_TOKENS,
    Preprocess,
    build_tokenizer,
    tokenize,
)
from openalign.train.data.saved_tokenizer import Bounds, load_tokenizer
from openalign.train.model.batch_norm import set_running_statistics
from openalign.train.model.export import preprocess_of, write_export
from openalign.train.model.towers import Towers, build_towers
from openalign.train.model.weights import load_align

from tiny_training import jpeg_of, tiny_config, tiny_model  # isort: skip

VOCABULARY = [*SPECIAL_TOKENS, "a", "red", "circle", "##s", "\N{RED APPLE}", "caf\u00e9"]
TEXTS = ["A red circle", "circles", "a", "circle\N{RED APPLE}\ufe0fs", "cafe\u0301"]


def trained() -> Towers:
    """Return towers whose statistics and temperature are not where they started."""
    towers = build_towers(tiny_config(), vocabulary_size=len(VOCABULARY))
    with torch.no_grad():
        towers.train()(torch.randn(8, 3, 32, 32), torch.ones(8, 4).long(), torch.ones(8, 4).long())
        set_running_statistics(towers, towers.statistics_of_passes[0])
        towers.temperature.fill_(0.0625)
    return towers.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Towers, str]:
    folder = str(tmp_path_factory.mktemp("export"))
    towers = trained()
    model = tiny_config().model
    write_export(folder, weights=towers.state_dict(), vocabulary=VOCABULARY, model=model)
    return towers, folder


def read(folder: str) -> tuple[Preprocess, Tokenizer]:
    with opened(folder) as files:
        bounds = Bounds(vocabulary_size=len(VOCABULARY), max_tokens=64)
        return Preprocess.load(files), load_tokenizer(files, bounds)


def test_the_library_loads_an_export_with_equal_embeddings(exported: tuple[Towers, str]) -> None:
    towers, folder = exported
    loaded: Any = AlignModel.from_pretrained(folder, output_loading_info=True)
    model, report = loaded
    preprocess, tokenizer = read(folder)
    pixels = preprocess.pixels([jpeg_of("red", shape) for shape in ("circle", "square", "stripe")])
    tokens = tokenize(tokenizer, TEXTS)

    with torch.no_grad():
        expected_image, expected_text, temperature = towers(pixels, *tokens)
        found = model(input_ids=tokens.ids, attention_mask=tokens.mask, pixel_values=pixels)

    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    torch.testing.assert_close(found.image_embeds, expected_image, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.text_embeds, expected_text, rtol=0, atol=1e-6)
    assert model.temperature.item() == temperature.item() == 0.0625


def test_the_librarys_tokenizer_cuts_as_ours(exported: tuple[Towers, str]) -> None:
    _, folder = exported
    theirs = AutoTokenizer.from_pretrained(folder)
    ours = build_tokenizer(VOCABULARY, read(folder)[0])

    found = tokenize(ours, TEXTS).ids.tolist()
    assert theirs(TEXTS, padding=True)["input_ids"] == found
    # [CLS], a whole circle, the apple and an unknown `s`, [SEP]; the letter and its accent are one.
    assert found[3] == [2, 7, 9, 1, 3]
    assert found[4] == [2, 10, 3, 0, 0]


@pytest.mark.parametrize(
    ("rules", "kind"),
    [
        ({"normalization": "none", "split_symbols": False}, "BertTokenizer"),
        ({"normalization": "none"}, "PreTrainedTokenizerFast"),
        ({"normalization": "nfkc", "split_symbols": False}, "PreTrainedTokenizerFast"),
    ],
)
def test_the_library_cuts_as_ours_under_other_rules(
    exported: tuple[Towers, str], tmp_path: Path, rules: dict[str, Any], kind: str
) -> None:
    towers, _ = exported
    model = tiny_model(**rules)
    write_export(str(tmp_path), weights=towers.state_dict(), vocabulary=VOCABULARY, model=model)

    theirs = AutoTokenizer.from_pretrained(str(tmp_path))
    preprocess, ours = read(str(tmp_path))

    assert theirs(TEXTS, padding=True)["input_ids"] == tokenize(ours, TEXTS).ids.tolist()
    assert preprocess == preprocess_of(model)
    assert f'"{kind}"' in (tmp_path / "tokenizer_config.json").read_text()


def test_an_export_says_what_its_images_went_through(exported: tuple[Towers, str]) -> None:
    _, folder = exported

    assert read(folder)[0] == preprocess_of(tiny_config().model)
    assert read_processor(Path(folder)) == ImageProcessor(
        size=(36, 36),
        resample=2,
        do_center_crop=True,
        crop_size=(32, 32),
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
    )


def test_an_export_is_what_the_trainer_loads_again(exported: tuple[Towers, str]) -> None:
    towers, folder = exported
    with opened(folder) as files:
        found = load_align(files).state_dict()

    expected = {name.removeprefix("align."): t for name, t in towers.state_dict().items()}
    expected["temperature"] = expected["temperature"].reshape(())
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_librarys_auto_classes_make_our_ids_and_pixels(
    exported: tuple[Towers, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, folder = exported
    monkeypatch.setattr(logging.getLogger("transformers"), "handlers", [caplog.handler])
    texts = ["A red circle", "circles " * 80, "a"]
    content = jpeg_of("red", "corner", side_px=57)
    image = decoding.decode(content, policy=Policy.PROCESSOR)

    for auto in (AutoProcessor, AlignProcessor):
        processor: Any = auto.from_pretrained(folder, backend="pil")
        inputs = processor(text=texts, images=image, return_tensors="pt")

        ours = tokenize(read(folder)[1], texts)
        longest = ours.ids.shape[1]
        assert longest == inputs["input_ids"].shape[1] == tiny_config().model.max_tokens
        assert torch.equal(inputs["input_ids"], ours.ids)
        assert torch.equal(inputs["attention_mask"], ours.mask)
        pixels = read_processor(Path(folder)).pixels([content])
        assert torch.equal(inputs["pixel_values"], pixels)
    assert AutoTokenizer.from_pretrained(folder).model_max_length == longest
    alone: Any = AutoImageProcessor.from_pretrained(folder, backend="pil")
    assert torch.equal(alone(image, return_tensors="pt")["pixel_values"], pixels)
    assert not caplog.records


def test_an_export_has_no_files_but_those_that_are_read(exported: tuple[Towers, str]) -> None:
    _, folder = exported

    assert sorted(path.name for path in Path(folder).iterdir()) == [
        *("config.json", "model.safetensors", "preprocess.json", "preprocessor_config.json"),
        *("tokenizer.json", "tokenizer_config.json"),
    ]


def test_an_export_has_the_same_bytes_again(exported: tuple[Towers, str], tmp_path: Path) -> None:
    towers, folder = exported
    torch.randn(5)

    write_export(
        str(tmp_path),
        weights=towers.state_dict(),
        vocabulary=VOCABULARY,
        model=tiny_config().model,
    )

    names = sorted(path.name for path in Path(folder).iterdir())
    assert names == sorted(path.name for path in tmp_path.iterdir())
    for name in names:
        assert (tmp_path / name).read_bytes() == Path(folder, name).read_bytes(), name


def test_a_resumed_journal_forgets_what_was_not_saved(tmp_path: Path) -> None:
    """Steps 3 and 4 were written, then the run was killed; the checkpoint holds three steps."""
    path = tmp_path / "metrics.jsonl"
    lines = [f'{{"step": {step}, "train/loss": 0.5}}\n' for step in range(5)]
    path.write_text("".join(lines) + '{"step": 5, "tra')

    journal.Journal(tmp_path, first_step=3, total_steps=8).close()

    assert path.read_text() == "".join(lines[:3])


def test_a_journal_that_starts_over_starts_empty(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 0}\n')

    journal.Journal(tmp_path, first_step=0, total_steps=8).close()

    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (0, "2,000 of 2,000 steps are left, on 12,140 pairs"),
        (1_500, "500 of 2,000 steps are left, on 12,140 pairs"),
    ],
)
def test_a_start_tells_where_the_run_is(
    step: int, told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = journal.Journal(tmp_path, first_step=step, total_steps=2_000)
    opened.started(step, 12_140, ranks=2)
    opened.close()

    assert capfd.readouterr().err == f"train     {told}\n"
    (noted,) = read_json_lines((tmp_path / journal.RUN_LOG).read_text())
    assert {**noted, "time": 0} == {"time": 0, "step": step, "ranks": 2}


def test_lines_that_a_checkpoint_has_counted_and_that_are_gone_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two of six: the disk was full of zeros behind the fourth when it came back."""
    metrics = tmp_path / "metrics.jsonl"
    lines = "".join(f'{{"step": {step}}}\n' for step in range(4))
    metrics.write_text(lines + "\0" * 20)
    (tmp_path / "skipped.jsonl").write_text('{"step": 1}\n')

    opened = journal.Journal(tmp_path, first_step=6, total_steps=8)
    opened.tell_lost({"metrics.jsonl": 6, "skipped.jsonl": 1})
    opened.step(6, {})
    opened.close()

    assert capfd.readouterr().err == (
        f"train     {metrics} has lost 2 of the 6 lines that it had at the checkpoint: the weights "
        "are whole, and the result lacks them\n"
    )
    noted = read_json_lines((tmp_path / journal.RUN_LOG).read_text())
    assert [{**line, "time": 0} for line in noted] == [
        {"time": 0, "file": "metrics.jsonl", "lost_lines": 2}
    ]
    assert opened.num_lines == {"metrics.jsonl": 5, "skipped.jsonl": 1}


def test_how_fast_a_run_is_is_noted_once_in_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_SECONDS_BETWEEN_TIMES", 3600.0)
    monkeypatch.setattr(journal.time, "monotonic", lambda: 5.0)  # the machine has just started
    opened = journal.Journal(tmp_path, first_step=0, total_steps=8)
    for step in range(3):
        opened.passed(step, num_samples=4, num_tokens=9, waited=0.0, shown="")
    opened.close()

    noted = read_json_lines((tmp_path / journal.RUN_LOG).read_text())
    assert [line["step"] for line in noted] == [0]
