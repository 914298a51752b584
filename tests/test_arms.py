"""Which arms a config means, and where their weights may come from."""

import dataclasses

import pytest

from equity_jax import arms
from equity_jax.config import Arms, Config, Train
from equity_jax.types import InputError

DEPTHS = ("finetune('head_only')", "finetune('full')")


def config(**fields) -> Config:
    train = Train(methods=("erm", "class_weighted"), schemes=DEPTHS, lr=(1e-2, 1e-3))
    made = Arms(scratch=("cnn_small", "cnn_deep"), transfer=("vgg19",), augment="flip")
    return Config(train=train, arms=dataclasses.replace(made, **fields))


def test_a_crossed_network_meets_every_factor():
    mine = [a for a in arms.plan_arms(config(), False) if a.model == "cnn_small"]
    scratch = [a for a in mine if not a.started]
    assert {(a.lr, a.augment) for a in scratch} == {
        (lr, policy) for lr in (1e-2, 1e-3) for policy in ("", "flip")
    }
    assert all(a.methods == ("erm", "class_weighted") for a in scratch)
    tuned = [a for a in mine if a.started]
    assert len(tuned) == 4 and all(a.schemes == DEPTHS for a in tuned)


def test_other_networks_run_at_every_depth_and_from_scratch():
    plan = arms.plan_arms(config(), False)
    deep = [a for a in plan if a.model == "cnn_deep"]
    assert [(a.started, a.augment) for a in deep] == [(False, ""), (False, "flip")]
    [large] = [a for a in plan if a.model == "vgg19"]
    assert large == arms.Arm("vgg19", True, "flip", 1e-2, ("erm",), DEPTHS)
    assert arms.started(config()) == ["cnn_small", "vgg19"]


def test_one_more_arm_where_a_group_is_recorded():
    plain, more = (arms.plan_arms(config(), g) for g in (False, True))
    assert more[:-1] == plain and more[-1].schemes == arms.GROUPED


def test_every_arm_is_another():
    plan = arms.plan_arms(config(augment=""), True)
    assert len(set(plan)) == len(plan)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scratch": ("oracle",)}, "unknown model 'oracle'"),
        ({"augment": "flip,melt(2)"}, "melt"),
        ({"checkpoints": ("resnet50=a.pth",)}, "one of cnn_small, vgg19"),
        ({"checkpoints": ("a.pth",)}, "expected NAME=FILE"),
        ({"pretrain_steps": 7}, "pretrain_steps=7"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(fields, words):
    with pytest.raises(InputError, match=words.replace("(", r"\(")):
        arms.resolve(config(**fields))


def test_a_checkpoint_must_hold_the_whole_trunk(tmp_path):
    with pytest.raises(InputError, match="no_such"):
        arms.imported(config(), "vgg19", str(tmp_path / "no_such.pth"))
