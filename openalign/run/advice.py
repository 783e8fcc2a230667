"""Which setting decides about a state that rows end in, and when that is worth a word."""

from collections.abc import Iterator, Mapping, Sequence

from openalign.files.states import FetchState, FilterState, HarvestState, SelectState

_MOST_DROPPED = 0.8
"""A rule that drops a larger share of the rows that reach it was probably not meant so."""

_FEWEST_ROWS = 20
"""Shares of fewer rows say nothing."""

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "harvest": {
        HarvestState.NO_ALT_TEXT: "harvest.texts",
        HarvestState.LEFT_OUT: "harvest.source.where",
    },
    "filter": {
        FilterState.LANGUAGE: "filter.text.languages",
        FilterState.ALT_TEXT_ON_MANY_IMAGES: "filter.text.max_images_per_alt_text",
        FilterState.IMAGE_WITH_MANY_ALT_TEXTS: "filter.text.max_alt_texts_per_image",
        FilterState.TOO_FEW_UNIGRAMS: "filter.text.min_unigrams",
        FilterState.TOO_MANY_UNIGRAMS: "filter.text.max_unigrams",
        FilterState.RARE_NGRAM: "filter.text.frequent",
    },
    "fetch": {
        FetchState.REMOVED: "fetch.removals",
        FetchState.ROBOTS_DENIED: "fetch.web.respect_robots",
        FetchState.OPTED_OUT: "fetch.web.respect_opt_outs",
        FetchState.PRIVATE_ADDRESS: "fetch.web.allowed_networks",
        FetchState.TLS_FAILURE: "fetch.web.ca_file",
        FetchState.TOO_LARGE: "fetch.max_bytes",
        FetchState.TOO_MANY_PIXELS: "fetch.max_pixels",
        FetchState.SHORT_SIDE: "select.image.short_side_above_px",
        FetchState.ASPECT_RATIO: "select.image.aspect_ratio_below",
    },
    "select": {
        SelectState.SHORT_SIDE: "select.image.short_side_above_px",
        SelectState.ASPECT_RATIO: "select.image.aspect_ratio_below",
        SelectState.IMAGE_WITH_MANY_ALT_TEXTS: "select.image.max_alt_texts",
        SelectState.NEAR_DUPLICATE: "select.near_duplicates",
        SelectState.REMOVED: "fetch.removals",
    },
}
"""The key of the setting that decides about a state, by stage; states of no setting have none."""


def surprises(stage: str, states: Mapping[str, int], drops: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each state that took most of the rows that reached it.

    Args:
        stage: the stage's name.
        states: how many rows ended in each state.
        drops: the states of dropped rows, in the order in which rows are judged.
    """
    reached = sum(states.values())
    for state in drops:
        dropped = states.get(state, 0)
        if reached >= _FEWEST_ROWS and dropped > _MOST_DROPPED * reached:
            setting = SETTINGS.get(stage, {}).get(state)
            decides = f": `{setting}` decides (openalign explain {setting})" if setting else ""
            yield f"{state} took {dropped:,} of the {reached:,} rows that reached it{decides}"
        reached -= dropped
