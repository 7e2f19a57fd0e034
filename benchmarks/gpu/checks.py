"""On a GPU: a step of every method never waits for it, and batches that come by a stream of their own are the same.

usage: python benchmarks/gpu/checks.py OUTPUT.json [DEVICE] [METHOD ...]

On a CPU steps are taken, and what cannot be seen there is written down as not checked.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from measuring import attached, facts, method_settings_of, phase_steps, random_batch, save, trained_methods

from crossreid.data.loader import SideStream, pinned
from crossreid.training.loading import make_method

NOT_CHECKED = "not checked: needs a GPU"
GOOD = ("never waits", "the same batches", NOT_CHECKED)


def never_waits(name: str, device: str) -> str:
    """Every phase's second step under torch's own watch."""
    config = method_settings_of(name, "smoke")
    module = make_method(config, 5, seed=0).to(device)
    trainer = attached(module)
    for phase, step in phase_steps(module, trainer, random_batch(config, device)):
        step()  # makes the optimizers' states
        if not device.startswith("cuda"):
            step()
            continue
        torch.cuda.set_sync_debug_mode("error")
        try:
            step()
        except RuntimeError as error:
            return f"{phase}: {str(error)[:300]}"
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return "never waits" if device.startswith("cuda") else NOT_CHECKED


def side_stream(device: str) -> str:
    """Batches copied while the GPU is busy, and overwritten at once on this side, arrive whole."""
    if not device.startswith("cuda"):
        return NOT_CHECKED
    copier = SideStream(torch.device(device, 0) if ":" not in device else torch.device(device))
    config = method_settings_of("aligngan", "small")
    busy = torch.rand(4096, 4096, device=device)
    for seed in range(20):
        batch = {name: one._replace(visible=one.visible + seed) for name, one in random_batch(config, "cpu").items()}
        expected = {name: float(one.visible.double().sum()) for name, one in batch.items()}
        for _ in range(5):
            busy = busy @ busy / 4096
        moved = copier.copy(pinned(batch))
        for name, one in moved.items():
            found = float(one.visible.double().sum())
            if abs(found - expected[name]) > 1e-6 * abs(expected[name]):
                return f"batch {seed}, {name}: {found} and not {expected[name]}"
    return "the same batches"


def main() -> None:
    output = Path(sys.argv[1])
    device = sys.argv[2] if len(sys.argv) > 2 else "cuda"
    steps = {name: never_waits(name, device) for name in trained_methods(sys.argv[3:])}
    content: dict[str, Any] = facts(device) | {"steps": steps, "side_stream": side_stream(device)}
    save(content, output, lambda told: f"{told['steps']}\n\n{told['side_stream']}\n")
    print(steps, content["side_stream"], sep="\n")
    failures = [text for text in [*steps.values(), content["side_stream"]] if text not in GOOD]
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
