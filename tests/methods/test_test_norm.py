"""model.test_norm: which methods have it, what it changes, and that it is said beside every score."""

import pytest
import torch

from crossreid.errors import ConfigError
from methods_support import compose_model, make_batch

PER_MODALITY = "model.test_norm=per_modality"
SEPARATE = ["baseline", "aligngan", "jsia"]


@pytest.mark.parametrize("name", SEPARATE)
def test_embeddings_go_by_the_averages_of_their_modality(make, name: str) -> None:
    harness = make(f"model={name}", PER_MODALITY)
    module = harness.module
    for seed in range(2):
        harness.step("joint", make_batch(module, seed))
    module.eval()
    images = torch.rand(2, 3, *module.config.streams["identity"].size)
    both = {}
    for modality in ("visible", "infrared"):
        both[modality] = module.embed(images, modality)["main"]
    mixed = make(f"model={name}").module.eval()
    state = module.state_dict()
    plain = {key: value for key, value in state.items() if not key.endswith(("infrared_mean", "infrared_var"))}
    mixed.load_state_dict(plain)
    torch.testing.assert_close(mixed.embed(images, "visible")["main"], both["visible"])
    own = dict(plain)
    for key, value in state.items():
        if key.endswith(("infrared_mean", "infrared_var")):
            own[key.replace("infrared_", "running_")] = value
    mixed.load_state_dict(own)
    torch.testing.assert_close(mixed.embed(images, "infrared")["main"], both["infrared"])
    mixed.load_state_dict(plain)
    assert not torch.allclose(mixed.embed(images, "infrared")["main"], both["infrared"], atol=1e-4)


@pytest.mark.parametrize("name", SEPARATE)
def test_training_itself_is_the_same(make, name: str) -> None:
    """Batch norms go by the batch in training: weights move alike, only averages differ."""
    weights = []
    for setting in ("mixed", "per_modality"):
        harness = make(f"model={name}", f"model.test_norm={setting}")
        harness.step("joint", make_batch(harness.module))
        weights.append(dict(harness.module.named_parameters()))
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


@pytest.mark.parametrize("name", ["agw", "lba", "cmssft", "tsgan", "onestream"])
def test_methods_with_one_forward_for_both_modalities_refuse_it(name: str) -> None:
    with pytest.raises(ConfigError, match="test_norm"):
        compose_model(f"model={name}", PER_MODALITY)


def test_the_label_of_every_score_says_it(make) -> None:
    assert make("model=baseline").module.scorer().label == "main, cosine"
    assert make("model=baseline", PER_MODALITY).module.scorer().label == "main, norms by modality, cosine"
    for preset in ("paper", "official"):
        assert compose_model("model=aligngan", f"preset={preset}").test_norm == "mixed"
