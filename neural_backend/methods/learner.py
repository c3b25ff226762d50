# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of a radiance field and the optimiser that trains them, as one state."""

from torch import Tensor, nn

from ..training.adam_state import Rate, ScheduledAdam, copy_into, training_tensors


class Learner:
    """Adam, whose rate falls exponentially from `learning_rate` to `final_learning_rate`.

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
        rate = Rate(list(modules.parameters()), learning_rate, final_learning_rate)
        self.optimizer = ScheduledAdam([rate], eps=1e-7)

    def step(self, loss: Tensor, fraction: float) -> None:
        """Takes one step down the gradient of `loss`, at `fraction` of the budget."""
        self.optimizer.step(loss, fraction)

    def state(self) -> dict[str, Tensor]:
        """Copies of the modules and of Adam's moments."""
        return {name: tensor.detach().clone() for name, tensor in self._tensors().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Takes back what `state` returned.

        Raises:
            ValueError: where names or shapes do not fit; then nothing is changed.
        """
        try:
            copy_into(self._tensors(), state)
        except ValueError as error:
            raise ValueError(f"expected the tensors of a {self._method} state: {error}") from error

    def _tensors(self) -> dict[str, Tensor]:
        return training_tensors(self._modules, self.optimizer)
