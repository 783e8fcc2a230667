from typing import Any

import pytest
import torch
from loss_oracle import Case, Expected, make_case
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, mm_flop

from openalign.train.config import LossForm
from openalign.train.model.loss import contrastive_loss
from openalign.train.model.loss_forms import torch_tiles

SOME_ALIKE = [3, 1, 3, 5, 1, 3, 8]


def found(case: Case, form: LossForm, dtype: torch.dtype = torch.float64) -> Expected:
    image, text = (x.clone().to(dtype).requires_grad_() for x in (case.image, case.text))
    temperature = torch.tensor([case.temperature], dtype=dtype, requires_grad=True)
    loss = contrastive_loss(
        image,
        text,
        temperature,
        label_smoothing=case.smoothing,
        form=form,
        image_ids_B=None if case.image_ids is None else torch.tensor(case.image_ids),
    )
    return Expected(loss.detach(), *torch.autograd.grad(loss, (image, text, temperature)))


def assert_close(actual: Expected, expected: Expected, *, rtol: float) -> None:
    """Compare each tensor by its largest element."""
    for name in ("loss", "image", "text", "temperature"):
        value, wanted = getattr(actual, name), getattr(expected, name)
        assert value.shape == wanted.shape, name
        assert (value - wanted).abs().max() <= rtol * wanted.abs().max(), name


@pytest.mark.parametrize("form", ["plain", "rows", "tiled"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("image_ids", [None, SOME_ALIKE], ids=["all", "some alike"])
def test_each_form_has_the_loss_and_gradients_of_float64(
    monkeypatch: pytest.MonkeyPatch, form: LossForm, smoothing: float, image_ids: list[int] | None
) -> None:
    """Seven pairs in tiles of three: the last row and column of tiles have one."""
    monkeypatch.setattr(torch_tiles, "SIDE", 3)
    case = make_case(7, 5, smoothing=smoothing, image_ids=image_ids)

    assert_close(found(case, form), case.expected(), rtol=1e-12)


def test_a_tile_may_have_no_candidate_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_tiles, "SIDE", 1)
    case = make_case(7, 5, smoothing=0.1, image_ids=SOME_ALIKE)

    assert_close(found(case, "tiled"), case.expected(), rtol=1e-12)


@pytest.mark.parametrize("form", ["rows", "tiled"])
def test_single_precision_holds_at_the_coldest_temperature(
    monkeypatch: pytest.MonkeyPatch, form: LossForm
) -> None:
    """Logits reach from -100 to 100: exponentials of neither can be summed as they are."""
    monkeypatch.setattr(torch_tiles, "SIDE", 3)
    axes = torch.eye(6, dtype=torch.float64)
    image = axes.repeat(2, 1)[:7]
    text = torch.cat([axes[:3], -axes[3:], axes[:1]])
    case = Case(image, text, temperature=0.01, smoothing=0.1, image_ids=None)

    assert_close(found(case, form, torch.float32), case.expected(), rtol=1e-5)


def test_a_gradient_that_comes_from_elsewhere_is_passed_on() -> None:
    case = make_case(7, 5, smoothing=0.1)
    image, text = case.image.clone().requires_grad_(), case.text.clone().requires_grad_()
    temperature = torch.tensor([case.temperature], dtype=torch.float64, requires_grad=True)

    loss = contrastive_loss(image, text, temperature, label_smoothing=0.1, form="tiled")
    (3 * loss).backward()

    expected = case.expected()
    for leaf, wanted in (
        (image, expected.image),
        (text, expected.text),
        (temperature, expected.temperature),
    ):
        torch.testing.assert_close(leaf.grad, 3 * wanted)


@pytest.mark.parametrize(("form", "products"), [("rows", 6), ("tiled", 4)])
def test_flops_are_those_of_the_products(form: LossForm, products: int) -> None:
    """A product of B x D by D x G takes 2 * B * G * D; D is wide enough to hide sums over it."""
    count, width = 96, 64
    case = make_case(count, width, smoothing=0.1)

    def in_place(_: Any, left: Any, right: Any, *, out_shape: Any) -> int:
        """The counter passes over products that are added in place."""
        return mm_flop(left, right)

    with FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.addmm_: in_place}
    ) as counter:
        found(case, form)

    whole = 2 * count * count * width
    assert products * whole <= counter.get_total_flops() < (products + 0.2) * whole


class LargestTensor(TorchDispatchMode):
    """Notes the most elements that any operation returned."""

    num_elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.num_elements = max(self.num_elements, result.numel())
        return result


@pytest.mark.parametrize(
    ("form", "largest"),
    [
        pytest.param("rows", 64 * 64, id="rows: the matrix"),
        pytest.param("tiled", 64 * 5, id="tiled: embeddings"),
    ],
)
def test_only_tiles_of_the_matrix_are_ever_made(
    monkeypatch: pytest.MonkeyPatch, form: LossForm, largest: int
) -> None:
    monkeypatch.setattr(torch_tiles, "SIDE", 16)  # a tile has 256 elements, the embeddings 320
    case = make_case(64, 5, smoothing=0.1)

    with LargestTensor() as seen:
        found(case, form)

    assert seen.num_elements == largest
