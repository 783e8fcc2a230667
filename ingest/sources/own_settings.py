"""Settings of the kinds whose images lie somewhere already, with what is known of them beside."""

from dataclasses import dataclass

from openalign.ingest.sources.table_conditions import Condition, parse_condition
from openalign.settings.fields import location


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnImageSettings:
    """What the kinds share. A record is what a JSON object or a row says about an image."""

    kind: str
    """Which source this is."""

    path: str | tuple[str, ...] = location("")
    """Where the images lie."""

    caption_per_line: bool = False
    """Whether each line of a text file is a caption of its own. Otherwise the file is one caption,
    as img2dataset and most trainers write it."""

    caption_column: str = "caption"
    """Key or column of a record with the image's text, or a list of texts; for images without a
    text file."""

    url_column: str = "url"
    """Key or column with the address that an image came from. An image without one is called by its
    bytes: `ni:///sha-256;...`."""

    language_column: str = ""
    """Key or column with a text's language, which becomes the candidate's `page_language`; empty
    for none."""

    carry_columns: tuple[str, ...] = ()
    """Keys or columns that travel with each candidate to the ledger, as JSON in its column
    `carried`."""

    where: tuple[str, ...] = ()
    """Conditions that a record must meet, such as `similarity >= 0.3`; others are counted as
    `left_out`. A record that lacks the key does not meet it."""

    def __post_init__(self) -> None:
        _ = self.conditions

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions of `where`, parsed.

        Raises:
            ValueError: one of them has another form.
        """
        return tuple(parse_condition(text) for text in self.where)

    @property
    def columns_used(self) -> tuple[str, ...]:
        """Return the keys of a record that the settings name, each once."""
        named = (
            *(self.caption_column, self.url_column, self.language_column),
            *(condition.column for condition in self.conditions),
            *self.carry_columns,
        )
        return tuple(name for name in dict.fromkeys(named) if name)
