"""What a pipeline's source holds, where its images lie, and whether they are still the same."""

from dataclasses import replace

from openalign.errors import StageError
from openalign.files import storage
from openalign.files.names import SOURCE_FOLDER
from openalign.ingest.sources.contract import OwnImages
from openalign.ingest.sources.kinds import fingerprints, kind_of
from openalign.run import inputs
from openalign.run.config import PipelineConfig
from openalign.run.contract import Run


def contents_of(config: PipelineConfig) -> dict[str, str]:
    """Return the hash of what a source holds, by the name of its kind."""
    assert config.harvest is not None
    cache = inputs.cache_of_hashes(config.root, "harvest.source")
    return fingerprints(config.harvest.source, config.harvest.web, cache=cache)


def own_images(config: PipelineConfig) -> OwnImages | None:
    """Return where a source's images lie already; None where they are on the web."""
    if config.harvest is None:
        return None
    folder_of = kind_of(config.harvest.source).own_images
    if folder_of is None:
        return None
    images = folder_of(config.harvest.source)
    return replace(images, folder=storage.absolute(images.folder))  # workers may be elsewhere


def places_of(config: PipelineConfig) -> dict[str, str]:
    """Return the folder of images that stay with their source, by its name in shards' names."""
    images = own_images(config)
    return {SOURCE_FOLDER: images.folder} if images and images.stay else {}


def require_same(run: Run) -> None:
    """Check that images which stay with their source are those that training pairs were made of.

    Raises:
        StageError: they changed, or were moved and `fetch` has not seen where to.
        InputError: they are gone.
    """
    places = places_of(run.config)
    if not places:
        return
    if run.folder("fetch").require().places != places:
        raise StageError(
            f"the images lie in {places[SOURCE_FOLDER]} now, and `fetch` has another place written "
            "down",
            hint=f"run `openalign fetch {run.config.name}`: it fetches nothing again",
        )
    seen = run.folder("harvest").require().inputs
    if any(seen.get(name) != content for name, content in contents_of(run.config).items()):
        raise StageError(
            f"the images in {places[SOURCE_FOLDER]} are not those that `harvest` has seen",
            hint=f"run `openalign run {run.config.name}`: pairs of other images are another "
            "training",
        )
