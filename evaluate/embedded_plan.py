"""From a plan to all embeddings that it needs, made by one process or shared by several.

Every rank calls `embed_plan` and has the same in the end: which images are left out, and of which
chunks each file of embeddings is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import PurePosixPath

from openalign.errors import InputError
from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.datasets.images import BenchmarkImage
from openalign.evaluate.embedding.batch_sizes import batch_size_for
from openalign.evaluate.embedding.chunks import Chunk, ChunkStore
from openalign.evaluate.embedding.embeddings import (
    KINDS,
    EmbeddingWork,
    Texts,
    cut,
    fixed_threads,
    share_of,
)
from openalign.evaluate.embedding.encoder import Encoder
from openalign.evaluate.embedding.left_out import UnreadableImage, check_bound
from openalign.evaluate.embedding.pace import EmbeddingPace, PaceKeeper
from openalign.evaluate.plan import Plan, say_needs, without_unreadable
from openalign.evaluate.results import library_versions
from openalign.evaluate.tasks.contract import name_of
from openalign.files import storage
from openalign.files.fingerprints import fingerprint_of
from openalign.files.names import RUN_LOG, embeddings_file
from openalign.progress import display_of, reports_elsewhere
from openalign.telemetry import JsonLines, say
from openalign.train.data.preprocess import MOST_UNKNOWN, unknown_share
from openalign.train.ranks import RankGroup, check_same, from_every_rank, on_rank_0

_TEXTS_LOOKED_AT = 1_000
"""Of each file of texts, to see whether the model knows their words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPlan:
    """What is measured, and the chunks that its embeddings lie in."""

    plan: Plan
    """Without the images that cannot be decoded, and without the queries about them."""

    unreadable: Sequence[UnreadableImage]
    chunks: Mapping[str, Sequence[Chunk]]
    """By file of embeddings. A file without a row has none."""

    weights_hash: str
    preprocess_hash: str
    temperature: float | None
    """As `Encoder.temperature`."""

    warnings: Sequence[str] = ()
    """Lines about texts of which the model knows hardly a word."""


def embed_plan(
    config: EvaluateConfig,
    planned: Plan,
    *,
    model: str,
    output: str,
    store: ChunkStore,
    ranks: RankGroup,
) -> EmbeddedPlan:
    """Embed what the tasks of the config need of benchmarks; all ranks must call this.

    Raises:
        InputError: the model cannot be used, its tokenizer lacks its words, or more images are
            broken than the config lets pass.
        StageError: ranks do not have the same model or libraries, or a batch does not fit into the
            memory of the device.
    """
    if ranks.rank == 0:
        say_needs(planned)
    encoder = _loaded(config, model, ranks)
    unknown = _unknown(encoder, planned, folder=config.processor or model)
    for line in unknown if ranks.rank == 0 else ():
        say(f"evaluate  {line}")
    with fixed_threads(ranks):
        images, texts = _images_of(planned), texts_of(planned)
        keeper = _keeper(ranks, images, texts)
        work = EmbeddingWork(
            embedder=encoder,
            store=store,
            ranks=ranks,
            batch_size=config.batch_size or batch_size_for(encoder),
            decode_threads=config.decode_threads,
            keeper=keeper,
        )
        work.leave_out_damaged()
        on_rank_0(ranks, partial(_say_what_is_there, work, images, texts))
        try:
            chunks = work.images(images)
            of_images = keeper.pace()
            unreadable = _unreadable(planned, chunks)
            check_bound(
                unreadable,
                num_images=sum(map(len, images.values())),
                max_bad_images=config.max_bad_images,
            )
            if unreadable:
                planned = without_unreadable(config, planned, _names_by_benchmark(unreadable))
            chunks |= work.texts(texts_of(planned))
        finally:
            keeper.close()
    _note(ranks, of_images=of_images, of_all=keeper.pace(), output=output)
    return EmbeddedPlan(
        plan=planned,
        unreadable=unreadable,
        chunks=chunks,
        weights_hash=encoder.weights_hash,
        preprocess_hash=encoder.preprocess_hash,
        temperature=encoder.temperature,
        warnings=unknown,
    )


def _loaded(config: EvaluateConfig, model: str, ranks: RankGroup) -> Encoder:
    """Return the model, once every rank has the same one."""
    encoder = Encoder.load(model, processor=config.processor, decoding=config.decoding)
    if ranks.rank == 0:
        for note in encoder.notes:
            say(f"evaluate  {note}")
    libraries = fingerprint_of(library_versions())
    check_same(ranks, {"the model as it was loaded": encoder.identity, "libraries": libraries})
    return encoder


def _unknown(encoder: Encoder, planned: Plan, *, folder: str) -> list[str]:
    """Return a line for each file of texts whose words the model does not know.

    Such texts are all the same to it. They may be in another script, which is measured; but a
    tokenizer that has few of the model's tokens besides was saved without the others.

    Raises:
        InputError: it knows no texts at all, and has less than half of the model's tokens.
    """
    firsts = {file: each.texts[:_TEXTS_LOOKED_AT] for file, each in texts_of(planned).items()}
    shares = {file: unknown_share(encoder.tokenizer, texts) for file, texts in firsts.items()}
    unknown = {file: share for file, share in shares.items() if share > MOST_UNKNOWN}
    num_tokens: int = encoder.tokenizer.get_vocab_size()
    num_ids: int = encoder.model.config.text_config.vocab_size
    if unknown and len(unknown) == len(shares) and num_tokens < num_ids / 2:
        share, text = next((share, firsts[file][0]) for file, share in unknown.items())
        raise InputError(
            f"{share:.0%} of the tokens of texts, such as {text!r}, stand for words that the "
            f"tokenizer in {folder} does not know: it has {num_tokens:,} tokens, and the model "
            f"{num_ids:,} ids",
            hint="save the tokenizer again that the model was trained with, or name its folder "
            "with --set evaluate.processor=FOLDER",
        )
    return [
        f"numbers of {PurePosixPath(file).stem} say little: {share:.0%} of the tokens of these "
        "texts stand for words that the model does not know"
        for file, share in unknown.items()
    ]


def texts_of(planned: Plan) -> dict[str, Texts]:
    """Return all texts that a plan needs, by their file of embeddings."""
    captions = {
        embeddings_file(name, "captions"): Texts(
            texts=[caption for image in each.dataset.images for caption in image.captions]
        )
        for name, each in planned.benchmarks.items()
        if each.with_captions
    }
    of_tasks = {
        embeddings_file(f"{task.kind}-{name_of(task)}", what): Texts(
            texts=texts, projected=projected
        )
        for task, needs in planned.tasks
        for projected, of_task in ((True, needs.texts), (False, needs.unprojected))
        for what, texts in of_task.items()
    }
    return captions | of_tasks


def _images_of(planned: Plan) -> dict[str, Sequence[BenchmarkImage]]:
    """Return the images of each file of embeddings."""
    return {
        embeddings_file(name, "images"): each.dataset.images
        for name, each in planned.benchmarks.items()
    }


def _unreadable(planned: Plan, chunks: Mapping[str, Sequence[Chunk]]) -> list[UnreadableImage]:
    """Return the images that could not be decoded."""
    found: list[UnreadableImage] = []
    for name, each in planned.benchmarks.items():
        file = embeddings_file(name, "images")
        parts = cut({file: each.dataset.images})
        for (_, images), chunk in zip(parts, chunks.get(file, ()), strict=True):
            found += [
                UnreadableImage(benchmark=name, image=images[bad.place], reason=bad.reason)
                for bad in chunk.unreadable
            ]
    return found


def _names_by_benchmark(unreadable: Sequence[UnreadableImage]) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for each in unreadable:
        names.setdefault(each.benchmark, set()).add(each.image.name)
    return names


def _lists(texts: Mapping[str, Texts]) -> dict[str, Sequence[str]]:
    return {file: of_file.texts for file, of_file in texts.items()}


def _keeper(
    ranks: RankGroup, images: Mapping[str, Sequence[BenchmarkImage]], texts: Mapping[str, Texts]
) -> PaceKeeper:
    shares = chain(share_of(cut(images), ranks), share_of(cut(_lists(texts)), ranks))
    total = sum(len(items) for _, items in shares)
    speaks = ranks.rank == 0
    shows = speaks or reports_elsewhere()
    display = display_of("evaluate", total=total, unit="embedding") if shows else None
    return PaceKeeper(total, display, speaks=speaks)


def _say_what_is_there(
    work: EmbeddingWork,
    images: Mapping[str, Sequence[BenchmarkImage]],
    texts: Mapping[str, Texts],
) -> None:
    """Say how many chunks need not be made. Which ones is known when their content is read."""
    of_texts = sum(work.num_there(kind) for kind in KINDS if kind != "images")
    counts = (
        ("images", work.num_there("images"), len(cut(images))),
        ("texts", of_texts, len(cut(_lists(texts)))),
    )
    there = [
        f"{min(found, total):,} of {total:,} chunks of {what}"
        for what, found, total in counts
        if found
    ]
    if there:
        say(f"evaluate  {' and '.join(there)} are there from an earlier run")


def _note(
    ranks: RankGroup, *, of_images: EmbeddingPace, of_all: EmbeddingPace, output: str
) -> None:
    """Say how fast it went, and note it beside the result, where it is no part of it."""
    paces = from_every_rank(ranks, (of_images, of_all))
    if ranks.rank != 0:
        return
    whole = EmbeddingPace.together([pace for _, pace in paces])
    waiting = EmbeddingPace.together([pace for pace, _ in paces]).waiting_share
    if not whole.made:
        return
    on = f" on {ranks.world_size} processes" if ranks.world_size > 1 else ""
    say(
        f"evaluate  {whole.made:,} embeddings in {whole.seconds:,.0f} s{on}, "
        f"{whole.per_second:,.0f}/s; the model waited for images {waiting:.0%} of their time"
    )
    if storage.is_local(output):
        JsonLines(storage.local_path(storage.join(output, RUN_LOG))).write(
            ranks=ranks.world_size,
            embeddings=whole.made,
            seconds=whole.seconds,
            embeddings_per_second=whole.per_second,
            image_wait_share=waiting,
        )
