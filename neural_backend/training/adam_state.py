# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam whose state can be saved with the network that it trains."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..kernels import process_group

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Rate:
    """Parameters and their learning rate, which falls exponentially from `start` to `end`."""

    parameters: Sequence[nn.Parameter]
    start: float
    end: float


class ScheduledAdam:
    """Adam with its moments there from the start, so that all states of a method look alike.

    Source: Kingma and Ba 2015, "Adam", algorithm 1.
    """

    def __init__(
        self, rates: Iterable[Rate], betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
    ) -> None:
        self._rates = tuple(rates)
        groups = [{"params": list(rate.parameters), "lr": rate.start} for rate in self._rates]
        self._adam = torch.optim.Adam(groups, betas=betas, eps=eps, fused=True)
        for rate in self._rates:
            for parameter in rate.parameters:
                self._adam.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }

    def step(self, loss: Tensor, fraction: float | Tensor) -> None:
        """Descends along the gradient of `loss`; `fraction` of the training is over: a number, or a
        tensor beside the parameters, as a step that is recorded for CUDA needs it.

        Where several processes learn together, of the mean of their losses.
        """
        # Adam refuses to be recorded without being told so, and warns where it was told in vain.
        recorded = torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()
        for rate, group in zip(self._rates, self._adam.param_groups, strict=True):
            group["lr"] = rate.start * (rate.end / rate.start) ** fraction
            group["capturable"] = recorded
        self._adam.zero_grad(set_to_none=True)
        (loss / process_group.size()).backward()
        process_group.add_up(*self._gradients())
        self._adam.step()

    def _gradients(self) -> Iterator[Tensor]:
        for rate in self._rates:
            for parameter in rate.parameters:
                if parameter.grad is not None:
                    yield parameter.grad

    @property
    def rates(self) -> list[float | Tensor]:
        """The rate of each group of parameters at the last step."""
        return [group["lr"] for group in self._adam.param_groups]

    def moments(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """The tensors that belong to a parameter, by name."""
        return {name: self._adam.state[parameter][name] for name in _MOMENTS}


def training_tensors(network: nn.Module, optimizer: ScheduledAdam) -> dict[str, Tensor]:
    """What a resumed training needs: the network's own tensors and Adam's, not copied."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    learned = [item for item in network.named_parameters() if item[1].requires_grad]
    for name, parameter in learned:
        for moment, value in optimizer.moments(parameter).items():
            tensors[f"adam.{name}.{moment}"] = value
    return tensors


def copy_into(tensors: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Overwrites `tensors` with those of the same names.

    Raises:
        ValueError: where names or shapes do not fit; then nothing is changed.
    """
    if tensors.keys() != state.keys():
        raise ValueError(f"differing tensors: {sorted(tensors.keys() ^ state.keys())}")
    for name, tensor in tensors.items():
        if tensor.shape != state[name].shape:
            raise ValueError(
                f"expected shape {tuple(tensor.shape)} for {name}, got {tuple(state[name].shape)}"
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(state[name])
