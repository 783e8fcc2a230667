"""Search with an index and a model that are loaded once: for the command line and for servers."""

# ruff: noqa: N806  # capitals are shape suffixes

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from openalign.errors import InputError
from openalign.evaluate import results
from openalign.evaluate.embedding.embedder import Embedder
from openalign.evaluate.search.index import Hit, SearchIndex, load_index
from openalign.evaluate.search.query import Query, query_vector
from openalign.files import storage
from openalign.files.folder import reachable
from openalign.files.names import RESULTS_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Searcher:
    """An index and the model that made it, ready for queries."""

    index: SearchIndex
    embedder: Embedder
    is_unknown: Callable[[str], bool] = lambda _: False
    """Whether the model has no piece for any word of a text: it would be as any other such text."""

    @classmethod
    def open(
        cls,
        folder: str,
        *,
        model: str,
        processor: str = "",
        image_folders: Mapping[str, str] | None = None,
    ) -> "Searcher":
        """Load the index of an `evaluate` folder and the model that made it.

        `processor` is the folder of its tokenizer and image processor, if it is not the model's.

        `image_folders` says where the images of a benchmark lie now, by its name; it wins over
        where `evaluate` saw them.

        Raises:
            InputError: there is no index, no model, or another model made the index.
        """
        index = load_index(folder, image_folders)
        made_with = results.read(storage.join(folder, RESULTS_FILE))
        from openalign.evaluate.embedding.encoder import Encoder
        from openalign.train.data.preprocess import knows_none

        encoder = Encoder.load(model, processor=processor, decoding=made_with.settings["decoding"])
        hashes = {"weights": encoder.weights_hash, "preprocess": encoder.preprocess_hash}
        if any(made_with.hashes.get(part) != value for part, value in hashes.items()):
            raise InputError(
                f"{folder}: the index was made with another model than {model}",
                hint="run `openalign evaluate`",
            )
        is_unknown = partial(knows_none, encoder.tokenizer)
        return cls(index=index, embedder=encoder, is_unknown=is_unknown)

    def find(self, query: Query, k: int) -> list[Hit]:
        """Return the k best images, best first; all of them where there are fewer.

        The query image itself is left out where the index holds it at the same path.

        Raises:
            InputError: k is below 1, the model knows no word of one of the query's texts, its
                image cannot be read or embedded, or its parts cancel each other out.
        """
        if k < 1:
            raise InputError(f"k must be 1 or more, got {k}")
        for text, _ in query.texts():
            if text.strip() and self.is_unknown(text):
                raise InputError(
                    f"the model knows no word of {text!r}: it has seen none of their pieces in "
                    "training",
                    hint="search in other words, or in the language of its texts",
                )
        image = _read(query.image) if query.image else None
        query_D = query_vector(query, image, self.embedder)
        return self.index.nearest(query_D, k, without=query.image or "")


def _read(image: str) -> bytes:
    try:
        with reachable(image):
            return storage.read_bytes(image)
    except InputError as error:
        hint = "a query image is named by its path from this folder, or by a URL"
        raise InputError(str(error), hint=error.hint or hint) from error
