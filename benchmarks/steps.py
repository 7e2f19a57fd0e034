"""Milliseconds of a training step of every method and phase, each as a multiple of a bare network's in the same run.

    python benchmarks/steps.py OUTPUT.json [METHOD ...] [--scale small] [--rounds 5] [--precision bf16-mixed] ...

The reference is a plain loop: the torchvision ResNet of the method's settings, forward, cross-entropy, backward and SGD, on as
many images as a batch of the method holds, of the size that its network sees, in the same precision and memory format. Steps
and references alternate; a method's multiple is the median over the rounds, its noise half the distance of their quartiles.
Batches are random and lie on the device, so that the step alone is measured. A Markdown table is written beside the JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from crossreid import keep_memory


def settings_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("methods", nargs="*", help="names; none for all")
    parser.add_argument("--scale", default="small", choices=("smoke", "small", "paper"))
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of the methods, as in training"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--identities", type=int, default=56, help="classes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--optimizer-kernels", default="auto", choices=("auto", "loop", "foreach", "fused"))
    parser.add_argument(
        "--clock", default="wall", choices=("wall", "cpu"), help="cpu: of this process, where others use the machine"
    )
    parser.add_argument("--give-memory-back", action="store_true", help="as trainer.keep_memory=false")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    chosen = settings_of(sys.argv[1:])
    if not chosen.give_memory_back:
        keep_memory()  # before torch is imported

import pytorch_lightning as pl  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402

from crossreid.data.batches import PairedBatch, TrainingBatch  # noqa: E402
from crossreid.methods.base import CrossModalityModule  # noqa: E402
from crossreid.runs.folder import git_revision, write_json  # noqa: E402
from crossreid.settings.compose import compose, run_config  # noqa: E402
from crossreid.settings.method import MethodConfig  # noqa: E402
from crossreid.settings.registry import built_in_methods  # noqa: E402
from crossreid.settings.run import TrainerConfig  # noqa: E402
from crossreid.training.environment import machine  # noqa: E402
from crossreid.training.kernels import use_kernels  # noqa: E402
from crossreid.training.loading import make_method  # noqa: E402

EPOCH = 100
Step = Callable[[], None]


def random_batch(config: MethodConfig, device: torch.device) -> TrainingBatch:
    """Random images in a method's streams."""
    generator = torch.Generator().manual_seed(0)
    batch: TrainingBatch = {}
    for name, stream in config.streams.items():
        pids = torch.arange(stream.identities).repeat_interleave(stream.images)
        shape = (len(pids), 3, stream.height, stream.width)
        visible, infrared = (torch.rand(shape, generator=generator).to(device) for _ in range(2))
        batch[name] = PairedBatch(visible, infrared, pids.to(device), 0)
    return batch


def attached(module: CrossModalityModule, trainer: pl.Trainer) -> CrossModalityModule:
    """A method with the optimizers that a trainer would give it."""
    trainer.strategy.connect(module)
    trainer.strategy._lightning_module = module
    module.trainer = trainer
    trainer.strategy.setup_optimizers(trainer)
    return module


def method_steps(config: MethodConfig, chosen: argparse.Namespace) -> Iterator[tuple[str, Step]]:
    """The training step of each phase."""
    device = torch.device(chosen.device)
    trainer_config = TrainerConfig(precision=chosen.precision, channels_last=chosen.channels_last)
    module = make_method(config, chosen.identities, seed=0)
    module.optimizer_kernels = chosen.optimizer_kernels
    module.log_every = 10**9
    use_kernels(module, trainer_config)
    trainer = pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision=chosen.precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    attached(module.to(device), trainer)
    batch = random_batch(config, device)
    done = 0
    for phase, length in config.active_phases().items():
        module.iteration = done + 1  # not one that is logged
        module.begin_phase(phase)

        def step() -> None:
            module.losses = {}
            with trainer.precision_plugin.train_step_context():
                module.training_step(batch)

        yield phase, step
        done += length


def bare_step(config: MethodConfig, chosen: argparse.Namespace) -> Step:
    """The reference: a ResNet on the images of the stream ``identity``."""
    device = torch.device(chosen.device)
    layout = torch.channels_last if chosen.channels_last else torch.contiguous_format
    backbone = config.backbone
    network = torchvision.models.get_model(backbone.name, weights=None, num_classes=chosen.identities)
    if backbone.last_stride == 1:
        for layer in network.layer4[0].modules():
            if isinstance(layer, torch.nn.Conv2d) and layer.stride == (2, 2):
                layer.stride = (1, 1)
    network.to(device, memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    stream = config.streams["identity"]
    count = 2 * stream.identities * stream.images
    images = torch.rand(count, 3, *backbone.size, device=device).to(memory_format=layout)
    labels = torch.randint(chosen.identities, (count,), device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=chosen.precision == "bf16-mixed"):
            loss = torch.nn.functional.cross_entropy(network(images).float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def milliseconds(step: Step, chosen: argparse.Namespace) -> float:
    """Of one call, the device's work included."""
    wait = torch.cuda.synchronize if chosen.device.startswith("cuda") else contextlib.nullcontext
    clock = time.process_time if chosen.clock == "cpu" else time.perf_counter
    wait()
    began = clock()
    step()
    wait()
    return 1000 * (clock() - began)


def paired(step: Step, reference: Step, chosen: argparse.Namespace) -> dict[str, Any]:
    """Medians of alternating measurements, and the step as a multiple of the reference."""
    step()
    reference()  # the first calls take memory and make optimizers' states
    steps, references, ratios = [], [], []
    for _ in range(chosen.rounds):
        steps.append(milliseconds(step, chosen))
        references.append(milliseconds(reference, chosen))
        ratios.append(steps[-1] / references[-1])
    quartiles = statistics.quantiles(ratios, n=4, method="inclusive")
    return {
        "milliseconds": round(statistics.median(steps), 2),
        "reference_milliseconds": round(statistics.median(references), 2),
        "ratio": round(statistics.median(ratios), 3),
        "noise": round((quartiles[2] - quartiles[0]) / 2, 3),
    }


def table(content: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    lines = ["| method, phase | ms | bare network ms | multiple | noise |", "|---|---|---|---|---|"]
    for name, found in content["measurements"].items():
        cells = [found[key] for key in ("milliseconds", "reference_milliseconds", "ratio", "noise")]
        lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def main(chosen: argparse.Namespace) -> None:
    told = {key: value for key, value in vars(chosen).items() if key not in ("output", "methods")}
    content: dict[str, Any] = {
        "machine": machine(torch.device(chosen.device)),
        "torch": torch.__version__,
        "git": git_revision(),
        "settings": told,
        "measurements": {},
    }
    for name in chosen.methods or built_in_methods():
        config = run_config(compose("train", [f"model={name}", f"scale={chosen.scale}", *chosen.set])).model.with_epoch(
            EPOCH
        )
        if not config.trains:
            continue
        reference = bare_step(config, chosen)
        for phase, step in method_steps(config, chosen):
            found = paired(step, reference, chosen)
            content["measurements"][f"{name}, {phase}"] = found
            print(f"{name:12} {phase:12} {found}", flush=True)
            write_json(chosen.output, content)
    chosen.output.with_suffix(".md").write_text(table(content), encoding="utf-8")


if __name__ == "__main__":
    main(chosen)
