"""A model of Hugging Face's library, fine-tuned by `openalign train` as a user does it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
import torch.distributed.checkpoint as dcp
from saved_align import edit_json, save_align
from tiny_training import (
    Augmentation,
    Duration,
    make_run,
    rank_environment,
    tiny_config,
)
from transformers import AlignModel, AutoProcessor, BertTokenizer

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.manifest import StageFolder
from openalign.files.names import training_index_name
from openalign.files.shards import ShardReader
from openalign.run import inputs
from openalign.run.config import load_pipeline
from openalign.run.contract import Run
from openalign.run.lineage import read_inputs
from openalign.run.stages import STAGES, training_spec
from openalign.run.verbs.exporting import AskedExport, export
from openalign.train.config import ModelConfig, StepWeights
from openalign.train.data.index import TrainingIndex
from openalign.train.data.pairs import TrainingSet
from openalign.train.data.preprocess import Preprocess
from openalign.train.data.sample_hash import first_hash, next_hash
from openalign.train.export_step import export_step
from openalign.train.optim.lamb import EMA
from openalign.train.presets import ImageTower, TextTower
from openalign.train.start import begin, origin
from openalign.train.starting_points import FromModel, FromRun
from openalign.train.updates import AdamW, Ema, Schedule, Temperature

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

NUM_STEPS = 3
BATCH_SIZE = 16


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A settings file whose run begins from a model, frozen in part; the training is complete."""
    folder = tmp_path_factory.mktemp("fine-tuning")
    (folder / "align").mkdir()
    save_align(folder / "align")
    config = tiny_config(
        num_processes=1,
        block_size=None,  # the library knows no blocks
        duration=Duration(steps=NUM_STEPS),
        init_from=FromModel(path=str(folder / "align")),
        model=ModelConfig(
            image_tower=ImageTower(stochastic_depth=0.0), text_tower=TextTower(dropout=0.0)
        ),
        optimizer=AdamW(learning_rate=1e-4),
        schedule=Schedule(warmup_steps=0),
        augmentation=Augmentation(random_crop=False, horizontal_flip=False),
        temperature=Temperature(initial=0.5),
        frozen=("text_tower.embeddings",),
        ema=Ema(decay=0.5),
    )
    path = make_run(folder, config)
    done = train(path)
    assert done.returncode == 0, done.stderr
    assert "train     takes from what it begins from: train.model.crop_px: 32" in done.stderr
    assert "counts the words" not in done.stderr
    return path


def train(pipelines: Path, *words: str, verb: str = "train") -> subprocess.CompletedProcess[str]:
    """Run a verb of `openalign` with settings, `key=value`, and options."""
    given = [part for word in words for part in ([word] if word[0] == "-" else ["--set", word])]
    return subprocess.run(
        [sys.executable, "-m", "openalign", verb, "tiny", "--config", str(pipelines), *given],
        env=rank_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def training_set(pipelines: Path) -> TrainingSet:
    """Return the pairs as the model takes them."""
    model = FromModel(path=str(pipelines.parent / "align"))
    config = tiny_config(init_from=model, model=ModelConfig())
    pretrained = begin.begin(
        config, content=origin.fingerprint(model, cache=str(pipelines.parent / "hashes.json"))
    ).pretrained
    assert pretrained is not None
    assert pretrained.words is not None
    run = pipelines.parent / "run"
    manifests = sorted((run / "selected").glob("training-*.parquet"))
    return TrainingSet(
        TrainingIndex([path.with_name(training_index_name(path.name)) for path in manifests]),
        shards=ShardReader(str(run / "shards")),
        preprocess=pretrained.preprocess,
        tokenizer=pretrained.words.tokenizer,
        augmentation=Augmentation(random_crop=False, horizontal_flip=False),
        seed=config.seed,
        decode_threads=1,
        image_cache_mb=1,
    )


def test_the_first_loss_is_that_of_the_library_s_model_on_the_same_pairs(pipelines: Path) -> None:
    folder = str(pipelines.parent / "align")
    model = AlignModel.from_pretrained(
        folder,
        vision_config={"drop_connect_rate": 0.0, **_section(folder, "vision_config")},
        text_config={
            **_section(folder, "text_config"),
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
    ).train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    batch = training_set(pipelines).batch(0, start=0, stop=BATCH_SIZE)

    with torch.no_grad():
        logits = model(
            pixel_values=batch.pixels[:],
            input_ids=batch.tokens.ids,
            attention_mask=batch.tokens.mask,
        ).logits_per_image
    target = torch.arange(len(logits))
    cross_entropy = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    expected = cross_entropy(logits, target) + cross_entropy(logits.T, target)

    lines = (pipelines.parent / "run" / "train" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == NUM_STEPS
    assert json.loads(lines[0])["train/loss"] == pytest.approx(float(expected), rel=1e-4)


def _section(folder: str, name: str) -> dict[str, object]:
    return json.loads(Path(folder, "config.json").read_text())[name]


def test_the_library_opens_the_export_and_only_what_is_trained_has_moved(pipelines: Path) -> None:
    export = pipelines.parent / "run" / "train" / "export"
    before = AlignModel.from_pretrained(str(pipelines.parent / "align")).state_dict()
    after = AlignModel.from_pretrained(str(export)).state_dict()

    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"text_projection.weight", "vision_model.embeddings.convolution.weight"} <= moved
    assert not any("text_model.embeddings" in name for name in moved)
    words = AutoProcessor.from_pretrained(str(export))(text=["a red square"], return_tensors="pt")
    first = AutoProcessor.from_pretrained(str(pipelines.parent / "align"))(
        text=["a red square"], return_tensors="pt"
    )
    assert words["input_ids"].tolist() == first["input_ids"].tolist()


def test_another_checkpoint_is_exported_with_the_words_and_sizes_of_the_model(
    pipelines: Path, tmp_path: Path
) -> None:
    done = train(pipelines, f"--step={NUM_STEPS}", f"--output={tmp_path / 'step'}", verb="export")

    assert done.returncode == 0, done.stderr
    export = pipelines.parent / "run" / "train" / "export"
    for file in export.iterdir():
        assert (tmp_path / "step" / file.name).read_bytes() == file.read_bytes(), file.name


def test_the_average_that_a_checkpoint_holds_is_exported_where_the_run_exported_weights(
    pipelines: Path, tmp_path: Path
) -> None:
    name = "text_projection.weight"
    run = pipelines.parent / "run" / "train"
    last = AlignModel.from_pretrained(str(run / "export")).state_dict()[name]
    average = torch.zeros(last.numel())
    checkpoint = run / "checkpoints" / f"step-{NUM_STEPS:08d}"
    with pytest.warns(UserWarning, match="load in a single process"):
        dcp.load({f"{EMA}/align.{name}": average}, checkpoint_id=checkpoint, no_dist=True)

    exported(pipelines, tmp_path / "average", weights="ema")

    found = AlignModel.from_pretrained(str(tmp_path / "average")).state_dict()[name]
    assert torch.equal(found, average.view_as(last))
    assert not torch.equal(found, last)


def exported(pipelines: Path, output: Path, *, weights: StepWeights = "last") -> str:
    config = load_pipeline(str(pipelines), "tiny", [])
    asked = AskedExport(step=NUM_STEPS, weights=weights, output=str(output))
    return export(Run(stages=STAGES, config=config), asked)


def test_an_export_that_is_cut_off_leaves_nothing_under_its_name(
    pipelines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "step"

    def killed(self: Preprocess, folder: str) -> None:
        assert Path(folder, "model.safetensors").exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Preprocess, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            exported(pipelines, output)

    assert not output.exists()
    (tmp_path / "step.unfinished" / "left over").touch()
    assert exported(pipelines, output) == str(output)
    names = sorted(path.name for path in (pipelines.parent / "run" / "train" / "export").iterdir())
    assert sorted(path.name for path in output.iterdir()) == names
    assert list(tmp_path.iterdir()) == [output]


def test_a_checkpoint_of_other_pairs_than_today_s_is_not_exported(
    pipelines: Path, tmp_path: Path
) -> None:
    config = load_pipeline(str(pipelines), "tiny", [])
    run = Run(stages=STAGES, config=config)
    spec = training_spec(run, read_inputs(run, STAGES["train"]))
    contents = dict(spec.inputs.contents) | {"select": "another result"}
    other = msgspec.structs.replace(
        spec, inputs=msgspec.structs.replace(spec.inputs, contents=contents)
    )

    with pytest.raises(StageError, match=r"step-00000003 was trained on another result of `select"):
        export_step(
            spec.folder.url, NUM_STEPS, weights="last", spec=other, output=str(tmp_path / "step")
        )

    assert list(tmp_path.iterdir()) == []


def test_the_manifest_holds_the_hash_of_the_model_and_no_path(pipelines: Path) -> None:
    manifest = StageFolder(str(pipelines.parent / "run"), "train").require()

    text = (pipelines.parent / "run" / "train" / "manifest.json").read_text()
    assert set(manifest.inputs) == {"fetch", "init_from", "select"}
    assert str(pipelines.parent) not in text


def test_a_moved_model_changes_nothing_and_a_changed_one_does(pipelines: Path) -> None:
    align, moved = pipelines.parent / "align", pipelines.parent / "moved"
    override = f"train.init_from.path={moved}"
    trained = StageFolder(str(pipelines.parent / "run"), "train").require().inputs["init_from"]
    align.rename(moved)
    original = (moved / "config.json").read_text()
    try:
        there = train(pipelines, override)
        edit_json(moved / "config.json", "text_config", initializer_range=0.03)
        changed = inputs.of_train(load_pipeline(str(pipelines), "tiny", [override]))
    finally:
        (moved / "config.json").write_text(original)
        moved.rename(align)

    assert (there.returncode, there.stderr) == (0, "train     up to date\n")
    assert changed["init_from"] != trained


def test_a_setting_that_contradicts_the_model_ends_the_run_before_it_trains(
    pipelines: Path,
) -> None:
    complete = StageFolder(str(pipelines.parent / "run"), "train").require()
    refused = train(pipelines, "train.model.crop_px=24", "--yes")

    assert StageFolder(str(pipelines.parent / "run"), "train").require() == complete
    assert refused.returncode == 2
    assert "error: `train.model.crop_px` is 24, and" in refused.stderr
    assert "has 32" in refused.stderr
    assert "starts 1 rank" not in refused.stderr


@pytest.mark.parametrize("prepare", [(), ("--prepare",)])
def test_a_batch_that_is_larger_than_the_data_ends_the_run_before_it_trains(
    prepare: tuple[str, ...], pipelines: Path
) -> None:
    sizes = ("train.global_batch_size=4096", "train.block_size=4096")
    refused = train(pipelines, *sizes, "--yes", *prepare)

    assert refused.returncode == 2
    assert "error: training needs at least 4,096 pairs, and select left " in refused.stderr
    assert "starts 1 rank" not in refused.stderr


def test_a_tokenizer_that_knows_no_word_of_the_texts_ends_the_run_before_it_trains(
    pipelines: Path, tmp_path: Path
) -> None:
    align = shutil.copytree(pipelines.parent / "align", tmp_path / "align")
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "日", "本")
    BertTokenizer(vocab={w: n for n, w in enumerate(words)}).save_pretrained(align)

    refused = train(pipelines, f"train.init_from.path={align}", "--yes")

    assert refused.returncode == 2
    assert "error: 100% of the tokens of alt-texts, such as " in refused.stderr
    assert (
        f"{align}/tokenizer.json does not know: it has 7 tokens, and its model " in refused.stderr
    )


def test_a_run_goes_on_from_another_one_under_a_root_of_its_own(pipelines: Path) -> None:
    run = pipelines.parent / "run"
    own = train(pipelines, "train.init_from={kind: run, root: " + str(run) + "}")

    assert own.returncode == 2
    assert "the run's own root" in own.stderr


def test_a_longer_run_goes_on_from_the_whole_state_of_another(pipelines: Path) -> None:
    """On other ranks and another ZeRO stage; its averages are exported."""
    first, longer = pipelines.parent / "run", pipelines.parent / "longer"
    shutil.copytree(first, longer, ignore=shutil.ignore_patterns("train", ".*", "run.jsonl"))
    overrides = [
        f"root={longer}",
        f"train.init_from={{kind: run, root: {first}, state: all}}",
        f"train.duration.steps={NUM_STEPS + 2}",
        *("train.export=ema", "train.block_size=8", "train.num_processes=2", "train.zero.stage=3"),
    ]

    done = train(pipelines, *overrides)

    assert done.returncode == 0, done.stderr
    metrics = (longer / "train" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in metrics] == [NUM_STEPS, NUM_STEPS + 1]
    manifest = StageFolder(str(longer), "train").require()
    selected = sorted((first / "selected").glob("training-*.parquet"))
    index = [storage.sha256_of(str(p.with_name(training_index_name(p.name)))) for p in selected]
    data, expected = training_set(pipelines), first_hash(index)
    for step in range(NUM_STEPS + 2):
        expected = next_hash(expected, data.rows(step * BATCH_SIZE, (step + 1) * BATCH_SIZE))
    assert manifest.facts["steps"] == NUM_STEPS + 2
    assert manifest.facts["sample_hash"] == expected
    assert str(pipelines.parent) not in (longer / "train" / "manifest.json").read_text()
    align = AlignModel.from_pretrained(str(pipelines.parent / "align")).state_dict()
    weights = AlignModel.from_pretrained(str(longer / "train" / "export")).state_dict()
    embeddings = "text_model.embeddings.word_embeddings.weight"
    assert torch.equal(weights[embeddings], align[embeddings])
    assert not torch.equal(weights["text_projection.weight"], align["text_projection.weight"])


def test_another_checkpoint_to_go_on_from_makes_another_run(pipelines: Path) -> None:
    run, moved = pipelines.parent / "run", pipelines.parent / "moved-run"
    start = FromRun(root=str(run), state="all")
    cache = str(pipelines.parent / "hashes-of-runs.json")
    before = origin.fingerprint(start, cache=cache)
    weights_alone = origin.fingerprint(FromRun(root=str(run)), cache=cache)
    shutil.copytree(run, moved)
    elsewhere = FromRun(root=str(moved), state="all")
    same = origin.fingerprint(elsewhere, cache=cache)
    checkpoint = moved / "train" / "checkpoints" / f"step-{NUM_STEPS:08d}" / "checkpoint.json"
    checkpoint.write_text(checkpoint.read_text().replace('"world_size":1', '"world_size":2'))

    assert same == before
    assert len({before, weights_alone, origin.fingerprint(elsewhere, cache=cache)}) == 3
