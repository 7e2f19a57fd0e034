"""Formats and kernels change results by rounding alone, and what only slows down is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from crossreid.errors import ConfigError
from crossreid.nn.optimization import OPTIMIZER_KERNELS
from crossreid.settings.run import TrainerConfig, differences
from crossreid.training import kernels
from crossreid.training.kernels import check_compiler, check_threads, compile_networks, use_arithmetic, use_kernels
from crossreid.training.loading import make_method
from crossreid.training.trainer import make_trainer
from methods_support import CLASSES, Harness, attach, compose_model, make_batch

METHODS = ["agw", "aligngan", "cmssft", "jsia", "lba", "tsgan"]


def after_a_step(name: str, optimizer_kernels: str = "auto", **settings: object) -> Harness:
    """A method after one step in each phase."""
    module = make_method(compose_model(f"model={name}"), CLASSES, seed=0)
    module.optimizer_kernels = optimizer_kernels
    use_kernels(module, TrainerConfig(**settings))
    dtype = torch.ones(()).float().dtype  # float64 where a test says so
    harness = attach(module.to(dtype))
    batch = {}
    for stream, images in make_batch(module).items():
        batch[stream] = images._replace(visible=images.visible.to(dtype), infrared=images.infrared.to(dtype))
    for phase in module.config.active_phases():
        harness.step(phase, batch)
    return harness


def assert_nearly_equal(one: Harness, other: Harness, losses: float, weights: float) -> None:
    """Losses of the last step differ by less than ``losses`` of their size, all weights by less than ``weights``."""
    assert one.module.losses.keys() == other.module.losses.keys()
    for name, value in one.module.losses.items():
        assert value.item() == pytest.approx(other.module.losses[name].item(), rel=losses, abs=losses), name
    expected = dict(other.module.named_parameters())
    for name, value in one.module.named_parameters():
        assert float((value - expected[name]).detach().abs().max()) < weights, name


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_channels_last_changes_rounding_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # in float64 throughout: a training of several players carries a rounding of float32 far away in one step
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    plain = after_a_step(name)
    other = after_a_step(name, channels_last=True)
    convolutions = [p for p in other.module.parameters() if p.dim() == 4 and min(p.shape[1], p.shape[2]) > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in convolutions)
    assert plain.module.state_dict().keys() == other.module.state_dict().keys()
    assert_nearly_equal(plain, other, losses=1e-6, weights=1e-6)


@pytest.mark.parametrize("optimizer_kernels", ["loop", "foreach", "fused"])
@pytest.mark.parametrize("name", ["baseline", "cmgan"])  # SGD; and two players, one with Adam
def test_optimizers_come_to_the_same_weights_by_every_kernel(name: str, optimizer_kernels: str) -> None:
    plain = after_a_step(name)
    other = after_a_step(name, optimizer_kernels)
    for player in other.module.player_order:
        groups = other.module.player(player).param_groups
        assert all(group.items() >= OPTIMIZER_KERNELS[optimizer_kernels].items() for group in groups)
    assert_nearly_equal(plain, other, losses=1e-5, weights=1e-5)


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """Torch's switches, put back behind the test."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]
    torch.backends.cudnn.benchmark = before[2]


DEFAULTS = """
import torch
print(torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark)
"""


def test_torchs_defaults_are_those_of_a_new_process() -> None:
    own = {key: value for key, value in os.environ.items() if key != "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"}
    told = subprocess.run([sys.executable, "-c", DEFAULTS], capture_output=True, text=True, check=True, env=own).stdout
    assert told.split() == [kernels.DEFAULT_PRECISION, str(kernels.DEFAULT_CONVOLUTIONS), "False"]


@pytest.mark.usefixtures("as_it_was")
def test_arithmetic_of_float32_is_as_the_settings_say() -> None:
    for tf32 in (True, False):
        use_arithmetic(TrainerConfig(tf32=tf32))
        assert torch.backends.cudnn.allow_tf32 is tf32
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
        use_arithmetic(TrainerConfig())  # as torch has it, not as the run before
        assert torch.backends.cudnn.allow_tf32 is True
        assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.usefixtures("as_it_was")
def test_a_trainer_takes_nothing_over_from_the_run_before(tmp_path: Path) -> None:
    def switches(**settings: object) -> tuple[object, ...]:
        config = TrainerConfig(accelerator="cpu", progress=False, **settings)
        make_trainer(config, compose_model("model=onestream"), 1, tmp_path)
        cudnn = torch.backends.cudnn
        return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark

    first = switches()
    for settings in ({"tf32": True, "cudnn_benchmark": True}, {"tf32": False}):
        assert switches(**settings) != first
        assert switches() == first == ("highest", True, False)


def test_bfloat16_with_more_threads_than_cores_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    half = TrainerConfig(precision="bf16-mixed")
    monkeypatch.setattr(kernels, "usable_cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    check_threads(half, cpu, 1)
    with pytest.raises(ConfigError, match=r"with 4 threads on 2 core\(s\).* set OMP_NUM_THREADS=1,"):
        check_threads(half, cpu, 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    with pytest.raises(ConfigError, match=r"set OMP_NUM_THREADS=2, or trainer.precision=32-true"):
        check_threads(half, cpu, 1)
    check_threads(half, torch.device("cuda"), 1)
    check_threads(TrainerConfig(), cpu, 2)


def test_cores_are_those_that_the_process_may_use() -> None:
    import os

    assert 1 <= kernels.usable_cores() <= (os.cpu_count() or 1)


def test_kernels_are_part_of_a_run_and_keeping_memory_is_not() -> None:
    from crossreid.settings.compose import compose, run_config
    from crossreid.settings.run import identity_of

    def identity(*settings: str) -> dict[str, object]:
        return identity_of(run_config(compose("train", ["model=baseline", *settings])).to_plain())

    plain = identity()
    changed = {
        "trainer.channels_last": "true",
        "trainer.tf32": "false",
        "trainer.cudnn_benchmark": "true",
        "trainer.optimizer_kernels": "fused",
        "trainer.precision": "bf16-mixed",
        "trainer.compile": "default",
    }
    for key, value in changed.items():
        found = differences(identity(f"{key}={value}"), plain)
        assert len(found) == 1
        assert found[0].startswith(f"{key} is ")
    assert not differences(identity("trainer.keep_memory=false"), plain)


def test_algorithms_are_not_chosen_by_time_and_deterministic() -> None:
    with pytest.raises(ConfigError, match=r"trainer.cudnn_benchmark chooses algorithms by their time"):
        TrainerConfig(deterministic=True, cudnn_benchmark=True).check("trainer")


# ---------------------------------------------------------------- compiled networks


def after_compiled_steps(name: str, mode: str, backend: str) -> Harness:
    """A method after two steps in its last phase."""
    module = make_method(compose_model(f"model={name}"), CLASSES, seed=0)
    compile_networks(module, TrainerConfig(compile=mode), backend)
    harness = attach(module)
    for seed in range(2):
        harness.step(list(module.config.active_phases())[-1], make_batch(module, seed))
    return harness


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cmgan", "xmodality"])
def test_compiled_networks_learn_the_same(name: str) -> None:
    """Traced, differentiated ahead and run by torch's own kernels: what a compiler of kernels starts from."""
    plain = after_compiled_steps(name, "off", "aot_eager")
    other = after_compiled_steps(name, "default", "aot_eager")
    assert any(layer._compiled_call_impl for layer in other.module.modules())
    assert plain.module.state_dict().keys() == other.module.state_dict().keys()
    assert_nearly_equal(plain, other, losses=1e-5, weights=1e-5)
    for key, value in other.module.state_dict().items():
        torch.testing.assert_close(value, plain.module.state_dict()[key], rtol=1e-4, atol=1e-5)


def test_compiling_needs_a_compiler_and_some_modes_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(kernels.shutil, "which", lambda _: None)
    check_compiler(TrainerConfig(), cpu)
    check_compiler(TrainerConfig(compile="reduce-overhead"), torch.device("cuda"))
    with pytest.raises(ConfigError, match=r"there is no C\+\+ compiler here: install g\+\+"):
        check_compiler(TrainerConfig(compile="default"), cpu)
    monkeypatch.setattr(kernels.shutil, "which", lambda name: name)
    check_compiler(TrainerConfig(compile="default"), cpu)
    with pytest.raises(ConfigError, match=r"trainer.compile=reduce-overhead is of a GPU"):
        check_compiler(TrainerConfig(compile="reduce-overhead"), cpu)


def test_networks_are_compiled_or_recomputed() -> None:
    from crossreid.settings.compose import compose, run_config

    with pytest.raises(ConfigError, match=r"trainer.compile and model.recompute do not go together"):
        run_config(compose("train", ["model=agw", "model.recompute=[encoder]", "trainer.compile=default"]))
