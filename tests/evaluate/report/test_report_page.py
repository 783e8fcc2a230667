"""The report, over real results of a tiny model and hand-made manifests of the other stages."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from report_read import STAGE_FACTS, Page, manifest
from squares import RETRIEVAL, config_of, run_stage

from openalign.evaluate.config import EvaluateConfig
from openalign.evaluate.report import page as report_page
from openalign.evaluate.report import provenance
from openalign.evaluate.report.provenance import MadeStage
from openalign.files.manifest import DataFile, Manifest
from openalign.files.names import METRICS_FILE
from openalign.files.states import FetchState
from openalign.pages.templating import page_style
from openalign.train import journal

CREDITS = ("Pictures: <b>somebody</b>, CC BY 4.0 (https://example.org/by)",)


TRICKY = "home | page <img src=x> [a](b) `c` \\\\ & d"
FILTER_FACTS = {
    "rules": [
        {"rule": "language", "dropped": 3, "alone": 4, "only": 2},
        {"rule": "too_few_unigrams", "dropped": 5, "alone": 6, "only": 5},
    ],
    "examples": {
        "language": [{"key": "1", "alt_text": "ein <i>Apfel", "image_url": "http://a.example/1"}],
        "too_few_unigrams": [{"key": "2", "alt_text": "apple", "image_url": "http://a.example/2"}],
    },
    "top_texts": [
        {
            "alt_text": TRICKY,
            "rule": "alt_text_on_many_images",
            "rows": 1234,
            "key": "3",
            "image_url": "http://a.example/3",
        }
    ],
    "num_alt_texts_on_many_images": 1,
    "num_images_with_many_alt_texts": 0,
    "ngrams": {
        "rule": "counted at least 2",
        "count_at_cut": 2,
        "num_tied_at_cut": 10,
        "num_tied_kept": 10,
        "num_kept": 6000,
        "num_occurrences": 90000,
        "num_occurrences_kept": 80000,
        "expected_collisions": 1e-12,
        "num_unigrams": 3000,
        "num_unigrams_kept": 2000,
        "num_bigrams": 5000,
        "num_bigrams_kept": 4000,
        "expected_wrongly_kept": 1e-12,
    },
}


@pytest.fixture(scope="session")
def evaluated_once(
    shared_benchmark: Path, model_folder: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("run") / "evaluate"
    config = config_of(shared_benchmark)
    run_stage(shared_benchmark, config, model=model_folder, output=output)
    return output


@pytest.fixture
def evaluated(evaluated_once: Path, tmp_path: Path) -> Path:
    """Return the folder of a run whose stage `evaluate` is complete."""
    shutil.copytree(evaluated_once, tmp_path / "evaluate")
    return tmp_path


def write(run: Path, manifests: Mapping[str, Manifest]) -> tuple[Page, str]:
    folders = {name: str(run / name) for name in manifests}
    report_page.write(
        manifests=manifests,
        folders=folders,
        stages=STAGE_FACTS,
        evaluated=folders["evaluate"],
        trained=folders.get("train"),
        num_pairs=manifests["select"].num_outputs if "select" in manifests else None,
        made=[MadeStage(name="fetch", day="2026-11-27", took="22 s", machine="2 cores <here>")],
        output=str(run / "report"),
        title='A "tiny" model & more',
        credits=CREDITS,
    )
    html, markdown = ((run / "report" / f"report.{e}").read_text() for e in ("html", "md"))
    return Page(html), markdown


@pytest.fixture
def whole(evaluated: Path) -> tuple[Page, str]:
    """Return the report of a run that has every stage."""
    (evaluated / "train").mkdir()
    with (evaluated / "train" / METRICS_FILE).open("w") as sink:
        for step in range(50):
            row = {"step": step, journal.LOSS: 9.0 - step / 10, journal.TEMPERATURE: 0.1}
            sink.write(json.dumps(row) + "\n")
    (evaluated / "fetch").mkdir()
    rows = [
        {"key": "1", "state": state, "alt_text": text, "image_url": f"http://a.example/{text}"}
        for state, text in (
            (FetchState.FETCHED, "fine"),
            (FetchState.HTTP_GONE, "gone"),
            (FetchState.HTTP_GONE, "gone"),
        )
    ]
    pq.write_table(pa.Table.from_pylist(rows), evaluated / "fetch" / "ledger-0.parquet")
    ledger = DataFile(name="ledger-0.parquet", num_rows=3, num_bytes=1, sha256="x")
    manifests = {
        "harvest": manifest("harvest", {"kept": 20, "duplicate": 2}),
        "filter": manifest(
            "filter", {"kept": 12, "language": 3, "too_few_unigrams": 5}, facts=FILTER_FACTS
        ),
        "fetch": manifest("fetch", {"fetched": 10, "http_gone": 2}, files=[ledger]),
        "select": manifest("select", {"kept": 9, "near_duplicate": 1}),
        "train": manifest(
            "train",
            {"trained_on": 9},
            settings={"settings": {"global_batch_size": 4, "note": "</pre><b>train"}},
            facts={
                "steps": 50,
                "skipped_steps": 2,
                "sample_hash": "s",
                "vocabulary_size": 1234,
            },
        ),
        "evaluate": manifest("evaluate", {"embedded": 8}),
    }
    return write(evaluated, manifests)


@pytest.fixture
def bare(evaluated: Path) -> tuple[Page, str]:
    """Return the report of a run that has evaluated and nothing else."""
    return write(evaluated, {"evaluate": manifest("evaluate", {"embedded": 8})})


@pytest.mark.parametrize("kind", ["whole", "bare"])
def test_every_tag_is_closed_and_every_anchor_is_there(
    kind: str, request: pytest.FixtureRequest
) -> None:
    page, _ = request.getfixturevalue(kind)

    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert not [name for name, often in Counter(ids).items() if often > 1]
    anchors = [a["href"][1:] for a in page.named("a") if (a["href"] or "").startswith("#")]
    assert anchors
    assert set(anchors) <= set(ids)


def test_nothing_is_loaded_from_elsewhere_and_one_script_runs(whole: tuple[Page, str]) -> None:
    page, _ = whole

    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert page.named("script") == [{}]
    sources = [a["src"] for _, a in page.tags if "src" in a]
    assert len(sources) > 10
    sources += [image["href"] for image in page.named("image")]
    assert all((source or "").startswith("data:image/webp;base64,") for source in sources)
    templates = Path(report_page.__file__).parent / "templates"
    files = [path.read_text() for path in templates.glob("*.[cj]s*")]
    assert len(files) == 6
    for text in (page_style(), *files):
        assert not [word for word in ("url(", "@import", "http", "fetch(") if word in text]
    links = [a["href"] for a in page.named("a") if not (a["href"] or "").startswith("#")]
    assert links == ["https://example.org/by", "../evaluate/results.json"]
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]


def test_images_have_words_and_tables_have_headings(whole: tuple[Page, str]) -> None:
    page, _ = whole

    assert all((image.get("alt") or "").strip() for image in page.named("img"))
    assert all(heading.get("scope") for heading in page.named("th"))
    assert len(page.named("caption")) == len(page.named("table"))
    assert all(svg.get("aria-label") for svg in page.named("svg"))
    assert page.named("html")[0]["lang"] == "en"
    assert len(page.named("h1")) == 1


def test_what_users_wrote_cannot_become_markup(whole: tuple[Page, str]) -> None:
    page, _ = whole

    assert 'A "tiny" model & more' in page.text
    assert "red <b>&amp; big" in page.text
    assert "ein <i>Apfel" in page.text
    assert "Pictures: <b>somebody</b>, CC BY 4.0" in page.text
    assert "</pre><b>filter" in page.text
    assert all("style" in bar for bar in page.named("i"))


def test_the_page_holds_every_part(whole: tuple[Page, str]) -> None:
    text = whole[0].text

    for part in (
        "trained on 9 pairs",
        "the 5 images of test",
        "all 8 images",
        "gain over the image alone",
        "harvest: 22 rows came in, 20 went on",
        "filter: 20 rows came in, 12 went on",
        "too few unigrams",
        "counted at least 2: 2,000 of 3,000 unigrams and 4,000 of 5,000 bigrams",
        TRICKY,
        "http://a.example/gone",
        "Loss",
        "First 9, last 4.1",
        # 50 x 4 / 9
        "50 updates of 4 pairs: 22.2 passes over 9 pairs.",
        "The vocabulary has 1,234 word pieces. 2 updates were skipped.",
        "jia2021align",
        "Temperature",
        "Another scale and another benchmark",
        "ALIGN (L2 + Large)",
        "88.6",
        "weights",
        "transformers",
    ):
        assert part in text, part


def test_the_map_has_every_image_of_the_split_with_its_caption(whole: tuple[Page, str]) -> None:
    page, _ = whole

    pictures = [a for _, a in page.tags if "picture" in (a.get("class") or "")]
    assert len(pictures) == len(page.named("image")) == 5
    [area] = {a["viewbox"] for _, a in page.tags if a.get("class") == "images" and "viewbox" in a}
    width, height = map(float, (area or "").split()[2:])
    boxes = page.named("image")
    for axis, side, length in (("x", "width", width), ("y", "height", height)):
        ends = [float(a[axis] or 0) + float(a[side] or 0) for a in boxes]
        assert max(ends) == length  # the last picture ends where the map does
    assert {a["aria-label"] for a in pictures} > {"a red square", "a green square"}
    assert "the 5 images of squares (split test ), laid out by t-SNE" in page.text


def test_the_loss_has_a_line_at_chance_and_the_temperature_has_none(
    whole: tuple[Page, str],
) -> None:
    page, _ = whole

    assert [line["class"] for line in page.named("line")].count("chance") == 1
    assert "chance 2.77" in page.text  # 2 ln 4


def test_what_was_fetched_is_not_among_the_rejects(whole: tuple[Page, str]) -> None:
    assert "http://a.example/fine" not in whole[0].text
    assert "http://a.example/gone" in whole[0].text


def test_markdown_holds_the_same_tables(whole: tuple[Page, str]) -> None:
    markdown = whole[1]

    assert markdown.startswith('# A "tiny" model &amp; more\n')
    assert "| text to image | the 5 images of test | 10 |" in markdown
    assert "| filter | too few unigrams | 5 | 12 | 6 | 5 |" in markdown
    assert "| fetch | http gone | 2 | gone |" in markdown
    assert r"home \| page &lt;img src=x&gt; \[a\](b) \`c\` \\\\ &amp; d" in markdown
    assert "| CLIP | - | zero-shot | 76.2 | 88.9 | 77.2 | 70.1 | yes | ALIGN, Table 4 |" in markdown
    assert "<" not in markdown.split("## Settings", maxsplit=1)[0]
    assert "\n- Pictures: &lt;b&gt;somebody&lt;/b&gt;, CC BY 4.0" in markdown
    assert "{{" not in markdown
    for table in markdown.split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        pipes = {line.replace("\\|", "").count("|") for line in rows}
        assert len(pipes) <= 1, table


def test_numbers_in_the_page_are_those_of_the_results(
    whole: tuple[Page, str], tmp_path: Path
) -> None:
    metrics = json.loads((tmp_path / "evaluate" / "results.json").read_text())["metrics"]
    recall = next(
        m for m in metrics if m["name"] == "retrieval/squares/gallery/image_to_text/recall_at_5"
    )

    shown = f"**{100 * recall['value']:.1f}** ({100 * recall['low']:.1f}"

    row = next(
        line for line in whole[1].splitlines() if line.startswith("| image to text | all 16")
    )
    assert shown in row


def test_parts_that_are_missing_leave_a_sentence(bare: tuple[Page, str]) -> None:
    text = bare[0].text

    assert "This run has no stages that gather data." in text
    assert "There are no metrics of a training run beside this model." in text
    assert "What was dropped" not in text
    assert "trained on" not in text.split("Retrieval, both ways", maxsplit=1)[0]


def test_a_run_without_composed_queries_says_so(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    config = EvaluateConfig(tasks=(RETRIEVAL,), bootstrap_resamples=5)
    run_stage(benchmark_folder, config, model=model_folder, output=tmp_path / "evaluate")

    page, markdown = write(tmp_path, {"evaluate": manifest("evaluate", {"embedded": 8})})

    assert "No composed queries were measured in this run." in page.text
    assert "No composed queries were measured in this run." in markdown


def test_a_kind_of_odd_characters_is_a_heading_and_no_markup(
    benchmark_folder: Path, model_folder: str, tmp_path: Path
) -> None:
    query = {"image": "red.png", "plus": "green", "target": "green.png"}
    kinds = ["a | *b* <i>", "combined", "gain_over_image_only"]
    queries = [{**query, "kind": kind} for kind in kinds]
    (benchmark_folder / "composed.json").write_text(json.dumps({"queries": queries}))
    config = config_of(benchmark_folder, bootstrap_resamples=5)
    run_stage(benchmark_folder, config, model=model_folder, output=tmp_path / "evaluate")

    page, markdown = write(tmp_path, {"evaluate": manifest("evaluate", {"embedded": 8})})

    assert "Changing a | *b* <i>" in page.text
    assert "### Changing a \\| \\*b\\* &lt;i&gt;\n" in markdown
    assert "1 queries that change combined" in page.text
    assert "### Changing gain over image only\n" in markdown


def test_the_same_run_gives_the_same_bytes(bare: tuple[Page, str], tmp_path: Path) -> None:
    first = (tmp_path / "report" / "report.html").read_bytes()

    write(tmp_path, {"evaluate": manifest("evaluate", {"embedded": 8})})

    assert (tmp_path / "report" / "report.html").read_bytes() == first


def test_the_result_lists_the_pages_and_the_files_of_tables(evaluated: Path) -> None:
    result = report_page.write(
        manifests={"evaluate": manifest("evaluate", {"embedded": 8})},
        folders={"evaluate": str(evaluated / "evaluate")},
        stages=STAGE_FACTS,
        evaluated=str(evaluated / "evaluate"),
        output=str(evaluated / "report"),
        title="t",
        credits=(),
    )

    assert [file.name for file in result.files] == [
        "report.html",
        "report.md",
        "tables/other-numbers.csv",
        "tables/other-numbers.tex",
    ]
    for file in result.files:
        assert (evaluated / "report" / file.name).stat().st_size == file.num_bytes
    assert sum(result.states.values()) == result.num_inputs
    assert result.num_outputs > 0


def test_the_page_says_when_stages_were_made_and_on_what(whole: tuple[Page, str]) -> None:
    text = whole[0].text

    assert "2026-11-27" in text
    assert "22 s" in text
    assert "2 cores <here>" in text


def test_parameters_are_counted_by_tower(model_folder: str, tmp_path: Path) -> None:
    from transformers import AlignModel

    shutil.copytree(model_folder, tmp_path / "export")
    model = AlignModel.from_pretrained(model_folder)
    image, text = (
        sum(p.numel() for p in tower.parameters()) / 1e6
        for tower in (model.vision_model, model.text_model)
    )

    note = provenance.parameters_note(str(tmp_path))

    assert note == (
        f"Of parameters the image tower {image:,.2f} and the text tower {text:,.2f} million."
    )
    assert provenance.parameters_note(str(tmp_path / "export")) == ""
