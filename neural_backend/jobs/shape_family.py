# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of a run: those that it learned, those found in it since, and what lies between."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..datasets.shape_set import ShapeFrame
from ..meshing.isosurface import Isosurface
from ..protocol.errors import JobError
from .run_folder import RunFolder, write_json
from .trained_method import LearnedShapes


@dataclass(frozen=True)
class PlacedCode:
    """A shape's code, none where a run has one shape only, and where it lies in the scene."""

    code: Float[Tensor, " latent"] | None
    frame: ShapeFrame

    def towards(self, other: "PlacedCode", share: float) -> "PlacedCode":
        """The shape at `share` of the way to another: codes, centers and scales in between.

        Scales are blended by their logarithms, so that they stay positive however far one goes.
        """
        code = self.code
        if code is not None and other.code is not None:
            code = torch.lerp(code, other.code, share)
        x, y, z = (
            start + share * (end - start)
            for start, end in zip(self.frame.center, other.frame.center, strict=True)
        )
        ratio = other.frame.scale / self.frame.scale
        return PlacedCode(code, ShapeFrame((x, y, z), self.frame.scale * ratio**share))


class ShapeFamily:
    """What a run's method knows by name, and where it lies.

    Raises:
        JobError: where the run's file of found shapes is damaged.
    """

    def __init__(self, run: RunFolder, learned: LearnedShapes) -> None:
        self.run, self.method, self.recipe = run, learned.method, learned.recipe
        codes = self.method.codes()
        self.shapes: dict[str, PlacedCode] = {}
        places = zip(self.recipe.names, self.recipe.centers, self.recipe.scales, strict=True)
        for number, (name, (x, y, z), scale) in enumerate(places):
            code = codes[number] if len(codes) else None
            self.shapes[name] = PlacedCode(code, ShapeFrame((x, y, z), scale))
        self.num_learned = len(self.shapes)
        self.shapes.update(self._read_found())

    def shape(self, name: str) -> PlacedCode:
        """The shape of that name, or else of that number, counted from 0; '' is the first.

        Raises:
            JobError: where there is none.
        """
        if name in self.shapes:
            return self.shapes[name]
        names = list(self.shapes)
        if not name:
            return self.shapes[names[0]]
        if name.isdecimal() and int(name) < len(names):
            return self.shapes[names[int(name)]]
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise JobError(f"The run has no shape {name!r}.", f"Its shapes are {shown}.")

    def between(
        self, name: str, blend_to: str = "", blend: float = 0.0, axes: Sequence[float] = ()
    ) -> PlacedCode:
        """A shape, on its way to another, along the principal axes.

        Raises:
            JobError: where there is no such shape, or no such axis.
        """
        placed = self.shape(name)
        if blend_to:
            placed = placed.towards(self.shape(blend_to), blend)
        elif blend:
            raise JobError("There is no shape to blend to.", "Name one with blend_to.")
        return self.along_axes(placed, axes)

    def along_axes(self, start: PlacedCode, steps: Sequence[float]) -> PlacedCode:
        """`start` moved along the family's principal axes, by standard deviations.

        Raises:
            JobError: where the run has too few shapes to have that many axes.
        """
        if not steps:
            return start
        axes = principal_axes(self.method.codes())
        if start.code is None or len(steps) > len(axes):
            raise JobError(
                f"The run's {self.num_learned} shapes have {len(axes)} principal axes, "
                f"not {len(steps)}.",
                "Give fewer steps, or learn a family of more shapes.",
            )
        moves = torch.tensor(list(steps), dtype=axes.dtype, device=axes.device)
        return PlacedCode(start.code + moves @ axes[: len(steps)], start.frame)

    def surface(self, placed: PlacedCode) -> Isosurface:
        """The shape's surface in the scene."""
        unit = self.method.isosurface(placed.code)
        center = torch.tensor(placed.frame.center, dtype=torch.float32)
        return unit.placed(center, placed.frame.scale, self.method.gives_distances)

    def mean_frame(self) -> ShapeFrame:
        """Where the learned shapes lie on average."""
        centers = torch.tensor(self.recipe.centers, dtype=torch.float64).mean(dim=0)
        scale = torch.tensor(self.recipe.scales, dtype=torch.float64).log().mean().exp()
        x, y, z = centers.tolist()
        return ShapeFrame((x, y, z), float(scale))

    def keep(self, name: str, placed: PlacedCode) -> None:
        """Makes a found shape one of the run's, in place of one that was found under that name.

        Raises:
            JobError: where a learned shape has the name.
        """
        if name in self.recipe.names:
            raise JobError(f"The run learned a shape {name!r}.", "Choose another name.")
        self.shapes[name] = placed
        found = {}
        for key, shape in list(self.shapes.items())[self.num_learned :]:
            code = [] if shape.code is None else shape.code.tolist()
            found[key] = {"code": code, **asdict(shape.frame)}
        write_json(self.run.latents_file, found)

    def _read_found(self) -> dict[str, PlacedCode]:
        file = self.run.latents_file
        if not file.exists():
            return {}
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            found = {}
            for name, one in values.items():
                code = torch.tensor(one["code"], dtype=torch.float32, device=self.method.device)
                x, y, z = map(float, one["center"])
                found[name] = PlacedCode(code, ShapeFrame((x, y, z), float(one["scale"])))
            return found
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise JobError(
                f"{file} is damaged: {error}.", "Remove it, and fit its shapes again."
            ) from error


def principal_axes(codes: Float[Tensor, "shapes latent"]) -> Float[Tensor, "axes latent"]:
    """Directions in which codes differ most, first the longest; each as long as the deviation.

    Source: Pearson 1901, "On lines and planes of closest fit"; by singular values.
    """
    if len(codes) < 2:
        return codes[:0]
    # In single precision what should be an axis of length 0 would have one of rounding errors.
    centered = codes.double() - codes.double().mean(dim=0)
    _, lengths, axes = torch.linalg.svd(centered, full_matrices=False)
    kept = lengths > 1e-9 * lengths[0].clamp(min=1e-30)
    # An axis may point either way: the way of its largest component is always the same.
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    deviations = lengths / (len(codes) - 1) ** 0.5
    return (axes * largest.sign() * deviations[:, None])[kept].to(codes.dtype)
