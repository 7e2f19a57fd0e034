"""From a checkpoint of ours to a public code's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossreid.data.records import MODALITIES
from crossreid.errors import CheckpointError, ConfigError, WriteError
from crossreid.files import check_replaceable, folder_in_place, write_atomically
from crossreid.importing.importer import LEFT_OUT
from crossreid.importing.layouts import LayoutRow, PublicLayout, Weights
from crossreid.importing.public_files import WRAPPER
from crossreid.importing.sources import layout_of, layout_of_method
from crossreid.methods.base import CrossModalityModule
from crossreid.pickled import read_pickled
from crossreid.randomness import torch_generator
from crossreid.runs.folder import first_three
from crossreid.settings.importing import ImportedConfig
from crossreid.settings.run import differences
from crossreid.training.checkpoints import read_checkpoint
from crossreid.training.imported import imported_of
from crossreid.training.loading import checkpoint_at, make_method, method_from

_OURS = (".ckpt", ".json", ".yaml", ".csv", ".npz", ".png")
"""How files of a run or an import end, and no public code's."""
_TOLERANCE = 1e-5
"""Of an embedding's entries, by which the public network and the checkpoint's count as the same."""


def export_weights(checkpoint: str | Path, output: str | Path, source: str | None = None) -> Path:
    """Write weights as a public code saves them, so that it can read them.

    Weights that were imported come out as they went in, to the bit, with scores and epoch. Of a training of ours, what that
    code saves and never uses is filled: copies of our layers, or constants.

    Args:
        checkpoint: a run folder or a ``.ckpt`` of a method with a public layout, whose network is that of ``preset=official``.
        output: the file to write; of AlignGAN and JSIA-ReID the folder of several, which may hold files of the same names.
        source: the public code; None for the one that the weights came from, or that of the method.

    Returns:
        ``output``.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
        ConfigError: the method has no public layout, or its network is another one.
        WriteError: the disk is full, or something would be lost that is in the folder, or that the checkpoint needs.

    Example:
        >>> crossreid.export_weights("outputs/agw", "sysu_agw_ours.t")  # doctest: +SKIP
    """
    path = checkpoint_at(checkpoint)
    content = read_checkpoint(path)
    imported = imported_of(content, path)
    module = method_from(content, path)
    layout = _chosen_layout(content, path, source)
    target = Path(output)
    names = _file_names(layout, module, imported)
    if layout.pattern:
        check_replaceable(target, names)
    else:
        _refuse_files_beside(path, target)
    _check_network(module, layout)
    rows = layout.rows(module.state_dict())
    left_out = None
    if imported is not None:
        left_out = _kept(path.parent / LEFT_OUT, rows, module.state_dict())
    states = _states(rows, module.state_dict(), left_out, layout)
    if layout.pattern:
        with folder_in_place(target, names) as folder:
            for name, state in zip(names, states, strict=True):
                torch.save(state, folder / name)
        return target
    (state,) = states
    if left_out is None:
        beside = {"epoch": _epochs(module)}
    else:
        beside = left_out["beside"]
    write_atomically(target, lambda stream: torch.save({WRAPPER: state, **beside}, stream))
    return target


def _file_names(layout: PublicLayout, module: CrossModalityModule[Any], imported: ImportedConfig | None) -> list[str]:
    """Of the files that a code saves in a folder; none where it saves one file, which a person names."""
    if not layout.pattern:
        return []
    mark = str(module.iteration)
    if imported is not None:
        mark = imported.mark
    return [layout.file_name(number, mark) for number in range(len(layout.networks))]


def _refuse_files_beside(checkpoint: Path, target: Path) -> None:
    """Raise :class:`WriteError` where a file would be written over the checkpoint, or what a run or import has beside it."""
    if not target.exists():
        return
    beside = target.resolve().parent == checkpoint.resolve().parent
    ours = target.name == LEFT_OUT or target.suffix in _OURS
    if target.samefile(checkpoint) or (beside and ours):
        raise WriteError(f"'{target}' lies with the checkpoint and would be lost: choose another name.")


def layout_for(checkpoint: Path, source: str | None = None) -> PublicLayout:
    """The layout that a checkpoint is written in; raises as :func:`export_weights`."""
    return _chosen_layout(read_checkpoint(checkpoint), checkpoint, source)


def _chosen_layout(content: Mapping[str, Any], path: Path, source: str | None) -> PublicLayout:
    """The layout that is asked for, that the weights came in, or that the method has."""
    imported = imported_of(content, path)
    if source is not None:
        return layout_of(source)
    if imported is not None:
        return layout_of(imported.source)
    ours = content["crossreid"]
    settings: Any = ours.get("model")
    if not isinstance(settings, Mapping):  # in a checkpoint that anybody may have made
        settings = {}
    return layout_of_method(str(ours.get("method")), settings)


def _check_network(module: CrossModalityModule[Any], layout: PublicLayout) -> None:
    """Refuse a network that embeds otherwise than the public one would with the same weights.

    Sizes of images are not part of a layout, nor are mirror images at test: both are taken as the checkpoint has them.
    """
    ours: Any = module.config
    theirs: Any = layout.settings()
    if theirs.name != ours.name:
        raise ConfigError(
            f"These are weights of {ours.name}, and source={layout.name} is for {theirs.name}: leave it out."
        )
    backbone = replace(theirs.backbone, size=ours.backbone.size)
    theirs = replace(theirs, streams=ours.streams, backbone=backbone)
    if hasattr(ours, "flip_test"):
        theirs = replace(theirs, flip_test=ours.flip_test)
    unlike = first_three(differences({"model": ours.plain()}, {"model": theirs.plain()}))
    public = make_method(theirs, module.num_identities, 0)
    weights = module.state_dict()
    shapes = {name: weight.shape for name, weight in weights.items()}
    for name, weight in public.state_dict().items():
        if shapes.pop(name, None) != weight.shape:
            raise ConfigError(_another_network(layout, name, unlike))
    if shapes:  # weights that the public network lacks
        raise ConfigError(_another_network(layout, next(iter(shapes)), unlike))
    public.load_state_dict(weights)
    public.eval()
    _check_alike(public, module, layout, unlike)


def _check_alike(
    public: CrossModalityModule[Any], module: CrossModalityModule[Any], layout: PublicLayout, unlike: str
) -> None:
    """Refuse a method that embeds some random images otherwise than one with the public code's settings does.

    Two networks with the same weights may still differ by what they do with them.
    """
    size = (2, 3, *module.config.streams["identity"].size)
    images = torch.rand(size, generator=torch_generator(0, "images to compare by", 0, 0))
    with torch.inference_mode():
        for modality in MODALITIES:
            theirs = public.embed(images, modality)["main"]
            ours = module.embed(images, modality)["main"]
            difference = theirs - ours
            if float(difference.abs().max()) > _TOLERANCE:
                raise ConfigError(
                    f"The code of {layout.title} would embed images otherwise with these weights ({unlike}): only a network of "
                    "preset=official can be written as its file."
                )


def _another_network(layout: PublicLayout, name: str, unlike: str) -> str:
    """The refusal of a network whose weights have other names or shapes."""
    return (
        f"This is another network than that of {layout.title} ({name} differs; {unlike}): only one of preset=official "
        "scale=paper can be written as its file."
    )


def _kept(path: Path, rows: Sequence[LayoutRow], weights: Weights) -> dict[str, Any] | None:
    """What an import left out, if it lies there; checked, since anybody may have put it there.

    Raises:
        CheckpointError: it is damaged.
    """
    if not path.is_file():
        return None
    content = read_pickled(path)
    try:
        tensors = [dict(state) for state in content["tensors"]]
        beside = {str(name): _as_saved(value) for name, value in content["beside"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"'{path}' is damaged: import the weights again.") from error
    for row in rows:
        if not row.left_out:
            continue
        for entry in row.entries:
            tensor = None
            if row.file < len(tensors):
                tensor = tensors[row.file].get(entry.key)
            expected = entry.value(weights)
            if not isinstance(tensor, Tensor) or (tensor.shape, tensor.dtype) != (expected.shape, expected.dtype):
                raise CheckpointError(
                    f"'{path}' does not hold '{entry.key}' as the import left it: import the weights again."
                )
    return {"tensors": tensors, "beside": beside}


def _as_saved(value: Any) -> Any:
    """Scores as NumPy made them: arrays and scalars."""
    if not isinstance(value, Tensor):
        return value
    array = value.numpy()
    if array.ndim == 0:
        return array[()]
    return array


def _states(
    rows: Sequence[LayoutRow], weights: Mapping[str, Tensor], left_out: Mapping[str, Any] | None, layout: PublicLayout
) -> list[dict[str, Tensor]]:
    """The state dict of each file, in the order of the public code."""
    states: list[dict[str, Tensor]] = [{} for _ in layout.networks]
    for row in rows:
        for entry in row.entries:
            if row.left_out and left_out is not None:
                tensor = left_out["tensors"][row.file][entry.key]
            else:
                tensor = entry.value(weights)
            states[row.file][layout.prefix + entry.key] = tensor
    return states


def _epochs(module: CrossModalityModule[Any]) -> int:
    """How long a network of ours was trained, where that is known."""
    return module.iteration // (module.config.iterations_per_epoch or 1)
