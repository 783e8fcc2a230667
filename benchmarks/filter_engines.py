"""The engines that `filter.py` races: the same work on the same files."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from openalign.engines.jobs import EndedJob, Jobs, run_jobs
from openalign.files.facts import FilterFacts
from openalign.files.manifest import StageResult
from openalign.filtering.counts.counting import ALT_TEXTS, IMAGES, CutNote, set_count

MIN_COUNT, MAX_IMAGES, MAX_ALT_TEXTS, MIN_WORDS, MAX_WORDS = 3, 10, 1000, 3, 20
Answer = dict[str, int]


# Ours ---------------------------------------------------------------------------------------------


def ours(phase: str, files: list[str], out: Path) -> Answer:
    from openalign.filtering import text_filter
    from openalign.filtering.config import FilterConfig, TextRules
    from openalign.filtering.thresholds import MinCount

    text = TextRules(languages=(), frequent=MinCount(at_least=MIN_COUNT))
    config = FilterConfig(text=text, count_buckets=64)
    work = str(out / "work")
    jobs = text_filter.jobs(config, candidates=files, output=str(out), work=work)
    if phase == "count":
        counting = Jobs(jobs=jobs.jobs[:1], collect=_corpus_alone)
        return _counted(run_jobs(counting, work=work))
    result = run_jobs(jobs, work=work)
    return _counted(result) | dict(result.states)


def _corpus_alone(ended: EndedJob) -> StageResult:
    cut = ended.summary.notes(CutNote)[0]
    counts = ended.summary.counts
    told = {
        "unigrams": cut.num_unigrams,
        "bigrams": cut.num_bigrams,
        "frequent": cut.num_kept,
        "texts": counts[set_count(ALT_TEXTS)],
        "images": counts[set_count(IMAGES)],
    }
    return StageResult(num_inputs=0, states=told, num_outputs=0, files=[])


def _counted(result: StageResult) -> Answer:
    if not isinstance(result.facts, FilterFacts):
        return dict(result.states)
    return {
        "unigrams": result.facts.ngrams.num_unigrams,
        "bigrams": result.facts.ngrams.num_bigrams,
        "frequent": result.facts.ngrams.num_kept,
        "texts": result.facts.num_alt_texts_on_many_images,
        "images": result.facts.num_images_with_many_alt_texts,
    }


# duckdb -------------------------------------------------------------------------------------------


def duckdb(phase: str, files: list[str], out: Path) -> Answer:
    import duckdb as engine

    db = engine.connect(config={"threads": 1})
    db.execute("set preserve_insertion_order = false")
    db.execute(f"create view corpus as select * from read_parquet({files})")
    db.execute(
        """create temp table hashed as select key, lower(alt_text) text, image_url,
             list_transform(regexp_extract_all(lower(alt_text), '\\w+'), lambda w: hash(w)) h
           from corpus"""
    )
    bigrams = "list_transform(range(1, len(h)), lambda i: hash(h[i], h[i + 1]))"
    for name, grams in (("unigrams", "h"), ("bigrams", bigrams)):
        db.execute(
            f"""create temp table {name} as select g, count(*) n
                from (select unnest({grams}) g from hashed) group by g"""
        )
    db.execute(
        f"""create temp table texts as select text from hashed group by text
            having count(distinct image_url) > {MAX_IMAGES}"""
    )
    db.execute(
        f"""create temp table images as select image_url from hashed group by image_url
            having count(distinct text) > {MAX_ALT_TEXTS}"""
    )

    def one(query: str) -> int:
        found = db.execute(query).fetchone()
        assert found is not None
        return int(found[0])

    answer = {
        n: one(f"select count(*) from {n}") for n in ("unigrams", "bigrams", "texts", "images")
    }
    answer["frequent"] = sum(
        one(f"select count(*) from {n} where n >= {MIN_COUNT}") for n in ("unigrams", "bigrams")
    )
    return answer if phase == "count" else answer | duckdb_verdicts(db, bigrams, out)


def duckdb_verdicts(db: Any, bigrams: str, out: Path) -> Answer:
    db.execute(
        f"""create temp table rare as
            select distinct key from (select key, unnest(h) g from hashed)
              semi join (select g from unigrams where n < {MIN_COUNT}) using (g)
            union
            select distinct key from (select key, unnest({bigrams}) g from hashed)
              semi join (select g from bigrams where n < {MIN_COUNT}) using (g)"""
    )
    db.execute(
        f"""create temp table reasons as select key, case
              when text in (from texts) then 'alt_text_on_many_images'
              when image_url in (from images) then 'image_with_many_alt_texts'
              when len(h) < {MIN_WORDS} then 'too_few_unigrams'
              when len(h) > {MAX_WORDS} then 'too_many_unigrams'
              when key in (from rare) then 'rare_ngram' end reason from hashed"""
    )
    for name, test in (("kept", "is null"), ("rejected", "is not null")):
        columns = "corpus.*" if name == "kept" else "corpus.*, reason"
        db.execute(
            f"""copy (select {columns} from corpus join reasons using (key)
                where reason {test}) to '{out}/{name}.parquet' (compression zstd)"""
        )
    rows = db.execute(
        "select coalesce(reason, 'kept'), count(*) from reasons group by 1"
    ).fetchall()
    return {str(reason): int(number) for reason, number in rows}


# polars -------------------------------------------------------------------------------------------


def polars(phase: str, files: list[str], out: Path) -> Answer:
    import polars as pl

    corpus = pl.scan_parquet(files)
    hashed = (
        corpus.select("key", "image_url", text=pl.col("alt_text").str.to_lowercase())
        .with_columns(h=pl.col("text").str.extract_all(r"\w+"))
        .with_row_index("row")
        .collect(engine="streaming")
    )
    words = hashed.select("row", "h").explode("h").select("row", pl.col("h").hash(0))
    pairs = words.select(
        "row",
        next_row=pl.col("row").shift(-1),
        g=pl.struct("h", next=pl.col("h").shift(-1)).hash(0),
    ).filter(pl.col("row") == pl.col("next_row"))
    words = words.rename({"h": "g"})
    counts = {
        name: grams.lazy().group_by("g").len("n").collect(engine="streaming")
        for name, grams in (("unigrams", words), ("bigrams", pairs))
    }
    texts = _with_many(hashed, "text", "image_url", MAX_IMAGES)
    images = _with_many(hashed, "image_url", "text", MAX_ALT_TEXTS)
    answer = {
        "unigrams": counts["unigrams"].height,
        "bigrams": counts["bigrams"].height,
        "frequent": sum(int((c["n"] >= MIN_COUNT).sum()) for c in counts.values()),
        "texts": len(texts),
        "images": len(images),
    }
    if phase == "count":
        return answer
    rare = pl.concat(
        [
            grams.join(counts[name].filter(pl.col("n") < MIN_COUNT), on="g", how="semi")["row"]
            for name, grams in (("unigrams", words), ("bigrams", pairs))
        ]
    ).unique()
    num_words = pl.col("h").list.len()
    reasons = hashed.select(
        "key",
        reason=pl.when(pl.col("text").is_in(texts.implode()))
        .then(pl.lit("alt_text_on_many_images"))
        .when(pl.col("image_url").is_in(images.implode()))
        .then(pl.lit("image_with_many_alt_texts"))
        .when(num_words < MIN_WORDS)
        .then(pl.lit("too_few_unigrams"))
        .when(num_words > MAX_WORDS)
        .then(pl.lit("too_many_unigrams"))
        .when(pl.col("row").is_in(rare.implode()))
        .then(pl.lit("rare_ngram")),
    )
    rows = corpus.join(reasons.lazy(), on="key").collect(engine="streaming")
    rows.filter(pl.col("reason").is_null()).drop("reason").write_parquet(out / "kept.parquet")
    rows.filter(pl.col("reason").is_not_null()).write_parquet(out / "rejected.parquet")
    found = reasons["reason"].fill_null("kept").value_counts()
    return answer | {reason: number for reason, number in found.iter_rows()}  # noqa: C416


def _with_many(rows: Any, key: str, value: str, limit: int) -> Any:
    import polars as pl

    counts = rows.lazy().group_by(key).agg(n=pl.col(value).n_unique())
    return counts.filter(pl.col("n") > limit).collect(engine="streaming")[key]


# Per-row Beam -------------------------------------------------------------------------------------


def per_row(phase: str, files: list[str], out: Path) -> Answer:
    import re

    import apache_beam as beam
    from apache_beam.pvalue import AsSingleton

    from openalign.engines.runners import run_job

    word = re.compile(r"\w+")

    def grams(row: dict[str, Any]) -> list[str]:
        words = word.findall(row["alt_text"].lower())
        return [*words, *(f"{a} {b}" for a, b in pairwise(words))]

    def judge(row: dict[str, Any], texts: Any, images: Any, frequent: Any) -> Any:
        found, num_words = grams(row), len(word.findall(row["alt_text"].lower()))
        tests = {
            "alt_text_on_many_images": row["alt_text"].lower() in texts,
            "image_with_many_alt_texts": row["image_url"] in images,
            "too_few_unigrams": num_words < MIN_WORDS,
            "too_many_unigrams": num_words > MAX_WORDS,
            "rare_ngram": any(gram not in frequent for gram in found),
        }
        return row | {"reason": next((rule for rule, drops in tests.items() if drops), None)}

    def with_many(rows: Any, key: str, value: str, limit: int) -> Any:
        return (
            rows
            | f"Pair {key}" >> beam.Map(lambda r: (r[key].lower(), r[value].lower()))
            | f"Group {key}" >> beam.GroupByKey()
            | f"Many {key}" >> beam.Filter(lambda item: len(set(item[1])) > limit)
            | f"Key {key}" >> beam.Keys()
        )

    def build(pipeline: beam.Pipeline) -> None:
        rows: Any = pipeline | beam.io.ReadFromParquet(files[0])
        counts = rows | "Grams" >> beam.FlatMap(grams) | beam.combiners.Count.PerElement()
        for name, size in (("unigrams", 0), ("bigrams", 1)):
            per_row_count(
                out,
                name,
                counts | f"Is {name}" >> beam.Filter(lambda c, s=size: c[0].count(" ") == s),
            )
        frequent = counts | beam.Filter(lambda c: c[1] >= MIN_COUNT) | beam.Keys()
        texts = with_many(rows, "alt_text", "image_url", MAX_IMAGES)
        images = with_many(rows, "image_url", "alt_text", MAX_ALT_TEXTS)
        for name, items in (("frequent", frequent), ("texts", texts), ("images", images)):
            per_row_count(out, name, items)
        if phase == "count":
            return
        sides = [
            AsSingleton(
                items | f"List {name}" >> beam.combiners.ToList() | f"Set {name}" >> beam.Map(set)
            )
            for name, items in (("t", texts), ("i", images), ("f", frequent))
        ]
        per_row_write(out, rows | "Judge" >> beam.Map(judge, *sides))

    run_job(build, [])
    return {path.stem: int(path.read_text()) for path in out.glob("*.count")}


def per_row_count(out: Path, name: str, items: Any) -> None:
    import apache_beam as beam

    _ = (
        items
        | f"Size {name}" >> beam.combiners.Count.Globally()
        | f"Say {name}" >> beam.Map(lambda number: (out / f"{name}.count").write_text(str(number)))
    )


def per_row_write(out: Path, judged: Any) -> None:
    import apache_beam as beam

    from openalign.files.schemas import CANDIDATE, with_reason

    kept = judged | "Kept" >> beam.Filter(lambda r: r["reason"] is None)
    rejected = judged | "Rejected" >> beam.Filter(lambda r: r["reason"] is not None)
    _ = rejected | "Write r" >> beam.io.WriteToParquet(f"{out}/r", with_reason(CANDIDATE))
    kept = kept | beam.Map(lambda r: {name: r[name] for name in CANDIDATE.names})
    _ = kept | "Write k" >> beam.io.WriteToParquet(f"{out}/k", CANDIDATE)
    for state in ("kept", "rare_ngram", "too_few_unigrams", "too_many_unigrams"):
        reason = None if state == "kept" else state
        rows = judged | f"Is {state}" >> beam.Filter(lambda r, s=reason: r["reason"] == s)
        per_row_count(out, state, rows)


ENGINES: dict[str, Callable[[str, list[str], Path], Answer]] = {
    "ours": ours,
    "duckdb": duckdb,
    "polars": polars,
    "per_row": per_row,
}
