"""What img2dataset downloads, as the outcomes of images."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import polars as pl

from openalign.files.states import FetchState
from openalign.images.forms import MEMBER_ENDINGS
from openalign.images.headers import ImageError
from openalign.images.stored import inspect
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.img2dataset.messages import refusal_of, refusal_of_file, trouble_of
from openalign.ingest.fetching.img2dataset.process import (
    Download,
    Img2datasetProcess,
    settings_for,
)
from openalign.ingest.fetching.supply import ConvertedImage, Supplied
from openalign.ingest.web.answers import Glance, Refusal
from openalign.ingest.web.outages import Outages, Trouble, outage_error
from openalign.ingest.web.outcomes import Failure, Response
from openalign.ingest.web.rules.opt_outs import opt_out_in
from openalign.ingest.web.urls import host_of


class Img2datasetDownloads:
    """Has img2dataset download shards; its process starts with the first of them."""

    def __init__(
        self, config: FetchConfig, *, look: Callable[[None, bytes], Glance | Refusal]
    ) -> None:
        """Judge by `look` what img2dataset could not decode."""
        self._config = config
        self._look = look
        self._outages = Outages(config.web.connect_to)
        self._process: Img2datasetProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.close()

    def download(self, rows: pl.DataFrame) -> Iterator[Supplied]:
        """Yield the outcome of each image of a shard's candidates.

        Raises:
            ConfigError: the Python that is named has not the img2dataset that is driven.
            StageError: img2dataset failed, or the cause is this machine: see `web.outages`.
        """
        urls = rows["image_url"].unique(maintain_order=True).to_list()
        if not urls:
            return
        if self._process is None:
            config = self._config
            self._process = Img2datasetProcess(config.img2dataset_python, settings_for(config))
        for download, body, made in self._process.download(urls):
            yield self._outcome(download, body, made)

    def _outcome(self, download: Download, body: bytes, made: bytes) -> Supplied:
        url, head = download.url, download.head
        if head is not None:
            self._outages.note_answer(host_of(url), download.address)
        refusal = self._refusal(download, body)
        if refusal is not None:
            is_cut = len(body) > self._config.max_bytes
            shown = b"" if download.is_success or is_cut else body
            return Failure(
                url=url, state=refusal.state, detail=refusal.detail, head=head, body=shown
            )
        assert head is not None, "an image came without an answer"
        if self._config.keep_original:
            return Response(url=url, head=head, body=body)
        ending = MEMBER_ENDINGS[self._config.format.upper()]
        return ConvertedImage(url=url, head=head, body=body, ending=ending, content=made)

    def _refusal(self, download: Download, body: bytes) -> Refusal | None:
        web, head = self._config.web, download.head
        if web.respect_opt_outs and head is not None and head.status < 400:
            withheld = opt_out_in(head.headers, as_of=web.opt_outs_day)
            if withheld is not None:
                return Refusal(state=FetchState.OPTED_OUT, detail=withheld)
        if download.is_success:
            return None
        message = download.message or ""
        if download.num_body_bytes is not None:
            return self._refusal_of_file(message, body)
        refusal = refusal_of(message)
        trouble = trouble_of(message, refusal, address=download.address)
        if trouble is not None:
            self._require_machine(host_of(download.url), trouble)
        return refusal

    def _refusal_of_file(self, message: str, body: bytes) -> Refusal:
        """Return why a file that came was not decoded: as this project sees it, if it does."""
        config = self._config
        if len(body) > config.max_bytes:
            detail = f"larger than {config.max_bytes} bytes"
            return Refusal(state=FetchState.TOO_LARGE, detail=detail)
        seen = self._look(None, body)
        if isinstance(seen, Refusal):
            return seen
        try:
            inspect(body, max_pixels=config.max_pixels)
        except ImageError as error:
            return Refusal(state=FetchState(error.reason.value), detail=error.detail)
        return refusal_of_file(message)

    def _require_machine(self, host: str, trouble: Trouble) -> None:
        """Check that a failure is the host's.

        Raises:
            StageError: its cause is this machine.
        """
        what = self._outages.judge(host, trouble)
        if what is None and self._outages.is_doubtful(host, trouble):
            what = self._outages.judge_name(host).result()
        if what is not None:
            raise outage_error(what)
