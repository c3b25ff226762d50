# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules and the optimiser that trains them, as one state of named tensors."""

import torch
from torch import Tensor, nn

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Learner:
    """Adam, whose rate falls exponentially from `learning_rate` to `final_learning_rate`.

    Its moments are there from the start, so that all states are alike.

    Source: Mildenhall et al. 2020, "NeRF", sec. 5.3.
    """

    def __init__(
        self,
        method: str,
        modules: nn.ModuleDict,
        learning_rate: float,
        final_learning_rate: float,
    ) -> None:
        self._method, self._modules = method, modules
        self._rates = learning_rate, final_learning_rate
        parameters = list(modules.parameters())
        self.optimizer = torch.optim.Adam(
            parameters, lr=learning_rate, betas=(0.9, 0.999), eps=1e-7, fused=True
        )
        for parameter in parameters:
            self.optimizer.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def step(self, loss: Tensor, fraction: float) -> None:
        """Takes one step down the gradient of `loss`, at `fraction` of the budget."""
        start, end = self._rates
        for group in self.optimizer.param_groups:
            group["lr"] = start * (end / start) ** fraction
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """Copies of the modules and of Adam's moments."""
        return {name: tensor.detach().clone() for name, tensor in self._tensors().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned.

        Raises:
            ValueError: where names or shapes do not fit; then nothing is changed.
        """
        tensors = self._tensors()
        if tensors.keys() != state.keys():
            different = sorted(tensors.keys() ^ state.keys())
            raise ValueError(
                f"expected the tensors of a {self._method} state, differing: {different}"
            )
        for name, tensor in tensors.items():
            if tensor.shape != state[name].shape:
                raise ValueError(
                    f"expected shape {tuple(tensor.shape)} for {name}, "
                    f"got {tuple(state[name].shape)}"
                )
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(state[name])

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"fields.{name}": value for name, value in self._modules.state_dict().items()}
        for name, parameter in self._modules.named_parameters():
            for moment in _MOMENTS:
                tensors[f"adam.{name}.{moment}"] = self.optimizer.state[parameter][moment]
        return tensors
