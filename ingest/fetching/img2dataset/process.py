"""The process in which img2dataset runs, and what goes to and fro."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from openalign.errors import ConfigError, StageError
from openalign.ingest.config import FetchConfig
from openalign.ingest.fetching.img2dataset import driver
from openalign.ingest.web import addresses
from openalign.ingest.web.answers import Head
from openalign.ingest.web.rules.opt_outs import WITHHELD
from openalign.ingest.web.rules.robots import AGENT
from openalign.ingest.web.transfers.certificates import trusted
from openalign.ingest.web.transfers.curl_options import user_agent
from openalign.ingest.web.urls import BAD_PORTS

VERSION = "1.47.0"
"""The release that is driven; where nothing is pinned, pip falls back to 1.25 in silence."""

_MAKE = "`make img2dataset` makes the environment; elsewhere: pip install img2dataset==" + VERSION
_ASK_VERSION = "from importlib.metadata import version; print(version('img2dataset'))"
_ENDINGS = {"jpeg": "jpg", "webp": "webp", "png": "png"}
_PNG_COMPRESSION = 6
_LAST_WORDS = 2000


class DriverSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver is told."""

    downloader: dict[str, Any]
    """Arguments of img2dataset's `Downloader`."""

    resizer: dict[str, Any]
    """Arguments of its `Resizer`."""

    user_agent: str
    max_bytes: int
    max_pixels: int
    max_redirects: int
    connect_seconds: float
    silence_seconds: float
    total_seconds: float
    connect_to: dict[str, str]
    allowed_networks: tuple[str, ...]
    bad_ports: list[int]
    ca_file: str
    ca_folder: str
    """Certificates to trust: a file, or a folder, or none."""

    addresses_file: str
    """The file of `web.addresses`, which judges addresses there as here."""


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a URL. Two files follow: the one that came, and what was made of it."""

    url: str
    is_success: bool
    message: str | None
    head: Head | None
    address: str | None
    """The last address that was tried."""

    num_body_bytes: int | None
    """None where no file came."""

    num_made_bytes: int
    """0 where nothing was made of it."""


class _ShardEnd(msgspec.Struct, frozen=True, kw_only=True):
    is_end: bool = False
    is_whole: bool = False


_DOWNLOAD = msgspec.json.Decoder(Download)
_SHARD_END = msgspec.json.Decoder(_ShardEnd)


def settings_for(config: FetchConfig) -> DriverSettings:
    """Return the settings of a fetch in the words of img2dataset.

    Raises:
        InputError: the certificates that are to be trusted cannot be read.
    """
    web = config.web
    trust = trusted(web.ca_file)
    return DriverSettings(
        downloader={
            "thread_count": web.connections,
            "timeout": web.total_seconds,
            "retries": web.num_retries,
            "number_sample_per_shard": config.images_per_shard,
            "encode_format": _ENDINGS[config.format],
            "user_agent_token": AGENT,
            "disallowed_header_directives": sorted(WITHHELD) if web.respect_opt_outs else None,
        },
        resizer={
            "image_size": config.size_px,
            "resize_mode": {"short_side": "keep_ratio", "none": "no"}.get(
                config.resize, config.resize
            ),
            "resize_only_if_bigger": True,
            "encode_format": _ENDINGS[config.format],
            "encode_quality": _PNG_COMPRESSION if config.format == "png" else config.quality,
            "disable_all_reencoding": config.keep_original,
            "max_image_area": config.max_pixels,
        },
        user_agent=user_agent(web.contact),
        max_bytes=config.max_bytes,
        max_pixels=config.max_pixels,
        max_redirects=web.max_redirects,
        connect_seconds=web.connect_seconds,
        silence_seconds=web.first_byte_seconds,
        total_seconds=web.total_seconds,
        connect_to={host.lower(): target for host, target in web.connect_to.items()},
        allowed_networks=web.allowed_networks,
        bad_ports=sorted(BAD_PORTS),
        ca_file=trust.file,
        ca_folder=trust.folder,
        addresses_file=addresses.__file__,
    )


def require_img2dataset(python: str) -> None:
    """Check that a Python has the img2dataset that is driven.

    Raises:
        ConfigError: it is not there, or has none or another.
    """
    key = "fetch.img2dataset_python"
    try:
        asked = subprocess.run(  # noqa: S603  # the user's own Python
            [python, "-I", "-c", _ASK_VERSION], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise ConfigError(f"`{key}`: {python}: {error.strerror}", hint=_MAKE) from error
    found = asked.stdout.strip()
    if asked.returncode:
        raise ConfigError(f"`{key}`: {python} has no img2dataset", hint=_MAKE)
    if found != VERSION:
        raise ConfigError(
            f"`{key}`: {python} has img2dataset {found}, and {VERSION} is needed", hint=_MAKE
        )


class Img2datasetProcess:
    """img2dataset in a process of its own; it downloads one shard after the other."""

    def __init__(self, python: str, settings: DriverSettings) -> None:
        """Start it.

        Raises:
            ConfigError: that Python has not the img2dataset that is driven.
            StageError: it cannot be imported there.
        """
        require_img2dataset(python)
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="openalign-")  # noqa: SIM115
        self._process = subprocess.Popen(  # noqa: S603  # the user's own Python
            [python, "-I", str(Path(driver.__file__).absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # It looks for a newer release on the network when it is imported.
            env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"},
        )
        try:
            self._tell(settings)
            self._line()  # it is ready
        except StageError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue

    def download(self, urls: Sequence[str]) -> Iterator[tuple[Download, bytes, bytes]]:
        """Yield what became of each URL of a shard, its file, and what was made of that.

        Raises:
            StageError: the process died, or lost images.
        """
        self._tell(list(urls))
        missing = set(urls)
        while True:
            line = self._line()
            end = _SHARD_END.decode(line)
            if end.is_end:
                break
            download = _DOWNLOAD.decode(line)
            body = self._read(download.num_body_bytes or 0)
            made = self._read(download.num_made_bytes)
            missing.discard(download.url)
            yield download, body, made
        if missing or not end.is_whole:
            raise self._error(f"it lost {len(missing)} of {len(urls)} images")

    def _tell(self, what: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(what) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._error("it ended by itself") from error

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._error("it ended by itself")
        return line

    def _read(self, num_bytes: int) -> bytes:
        assert self._process.stdout is not None
        content = self._process.stdout.read(num_bytes)
        if len(content) != num_bytes:
            raise self._error("it ended by itself")
        return content

    def _error(self, what: str) -> StageError:
        self._log.seek(max(0, self._log.seek(0, 2) - _LAST_WORDS))
        words = self._log.read().decode(errors="replace").strip()
        return StageError(
            f"img2dataset failed: {what}" + (f"\n\n{words}" if words else ""),
            hint="the same command fetches this shard again",
        )
