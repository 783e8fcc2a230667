"""The verb `search`: one query, or one after another with a model that is loaded once."""

import argparse
import sys
from collections.abc import Sequence
from textwrap import shorten
from typing import TYPE_CHECKING

import msgspec

from openalign.commands.contract import Options, Verb, add_json
from openalign.commands.named import run_of
from openalign.commands.output import tell, tell_json, tell_lines
from openalign.commands.stage_verbs import MODEL_EPILOG, add_model
from openalign.errors import ConfigError, InputError
from openalign.lines import one_line
from openalign.run.stages import STAGES

if TYPE_CHECKING:
    from openalign.evaluate.search.index import Hit
    from openalign.evaluate.search.query import Query
    from openalign.run.contract import Run

_NUM_HITS = 10
"""How many images a search prints at most, unless it is told."""

_CAPTION_WIDTH = 60
"""Characters of a caption that stand in a line of hits."""

_SOME_UNANSWERED = 2
"""The exit code where some of several queries have no answer, as one alone would have it."""


def _add_search(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument(
        "words", nargs="*", help="what to look for; behind `--` words may begin with a dash"
    )
    parser.add_argument(
        "--queries",
        metavar="FILE",
        help="in place of words: a text file or URL with a query a line; - answers line by line "
        "what is typed, or what another program writes",
    )
    parser.add_argument("--image", help="an image file or URL to start from")
    parser.add_argument("--plus", action="append", default=[], metavar="WORDS", help="add words")
    parser.add_argument("--minus", action="append", default=[], metavar="WORDS", help="take away")
    for part in ("image", "plus", "minus"):
        parser.add_argument(
            f"--{part}-weight",
            type=float,
            metavar="W",
            help="how much it counts; the first composed task of the pipeline has the default",
        )
    parser.add_argument(
        "-k", type=int, default=_NUM_HITS, metavar="N", help="how many to print at most (10)"
    )
    add_json(parser)


def _search(options: Options, words_behind: Sequence[str]) -> int | None:
    from openalign.run.readiness import require_libraries

    run = run_of(options)
    words = [*options.words, *words_behind]  # no Beam job is run: what follows `--` is words
    if options.queries is not None and words:
        raise ConfigError(
            f"`--queries` stands in place of words, and there are some: {' '.join(words)}",
            hint="words that every query shares are --plus or --minus",
        )
    if options.k < 1:
        raise ConfigError(f"-k must be 1 or more, got {options.k}")
    require_libraries(STAGES["evaluate"])
    from openalign.run.verbs.searching import open_searcher, require_evaluated

    if why := STAGES["evaluate"].left_out(run.config):
        raise ConfigError(
            f"{run.config.name} embeds no images that could be searched: {why}",
            hint="name a benchmark of the images, and put it under `evaluate.searched` or a task "
            "on it under `evaluate.tasks` (docs/search.md)",
        )
    require_evaluated(run)
    if options.queries is not None:
        return _answer_each(run, options)
    query = _query(run, options, " ".join(words) or None)
    hits = open_searcher(run).find(query, options.k)
    tell_json(hits) if options.json else tell_lines(_lines(hits))
    return None


def _answer_each(run: "Run", options: Options) -> int:
    """Answer queries as they come, and return the exit code.

    A query that has no answer is told, and those behind it are asked.
    """
    from openalign.run.verbs.searching import open_searcher, queries_of
    from openalign.telemetry import say

    queries = queries_of(options.queries)
    _query(run, options, "any words")  # what is wrong with all of them is told once
    searcher = open_searcher(run)
    if options.queries == "-" and sys.stdin.isatty():
        say(f"{len(searcher.index.items):,} images; a query a line, and Ctrl-D ends")
    code = 0
    for text, fault in queries:
        try:
            if fault is not None:
                raise fault
            hits = searcher.find(_query(run, options, text), options.k)
        except InputError as error:
            code = _SOME_UNANSWERED
            say(f"error: {one_line(text)}: {error}{f' ({error.hint})' if error.hint else ''}")
            if options.json:
                _tell_line({"query": text, "error": str(error)})
            continue
        if options.json:
            _tell_line({"query": text, "hits": hits})
        else:
            tell_lines([one_line(text), *_lines(hits)])
    return code


def _query(run: "Run", options: Options, text: str | None) -> "Query":
    from openalign.run.verbs.searching import query_of

    return query_of(
        run,
        text=text,
        image=options.image,
        plus=options.plus,
        minus=options.minus,
        weights=(options.image_weight, options.plus_weight, options.minus_weight),
    )


def _lines(hits: "Sequence[Hit]") -> list[str]:
    """Return a line a hit: its rank, its cosine, what it is called, and its path."""
    captions = [one_line(shorten(hit.caption, _CAPTION_WIDTH, placeholder=" ...")) for hit in hits]
    width = max(map(len, captions), default=0)
    return [
        f"{rank:3}  {hit.score:+.3f}  {f'{caption:{width}}  ' if width else ''}{one_line(hit.path)}"
        for rank, (hit, caption) in enumerate(zip(hits, captions, strict=True), 1)
    ]


def _tell_line(value: object) -> None:
    tell(msgspec.json.encode(value).decode())


SEARCH = Verb(
    name="search",
    title="find images by words, an image, or both",
    do=_search,
    arguments=_add_search,
    epilog=MODEL_EPILOG,
)
