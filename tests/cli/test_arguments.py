"""Values of options: every loss with its dials, and the sentence about a wrong one."""

import argparse
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2s_lab.cli import commands
from w2s_lab.cli.arguments import loss, losses
from w2s_lab.objective import LOSSES


def test_every_loss_is_reached_with_every_dial():
    """Each dial of each class, as the class names it, at a legal value that is not the default."""
    values = {"temperature": 0.5, "weight": 2.0, "schedule": "cosine", "max_weight": 0.25, "warmup_fraction": 0.75,
              "alpha": 0.5, "beta": 2.5, "radius": 0.25}  # fmt: skip
    for name, kind in LOSSES.items():
        assert loss(name) == kind()
        dials = {field.name: values[field.name] for field in fields(kind)}
        text = ",".join(f"{dial}={value}" for dial, value in dials.items())
        assert loss(f"{name}:{text}" if dials else name) == kind(**dials)
    assert {"ml", "soft", "confidence"} <= {*LOSSES}  # the names of version 0.2


def test_the_losses_are_listed_with_their_dials(capsys):
    assert commands.main(["run", "--loss", "help"]) == 0
    out = capsys.readouterr().out
    assert out == losses() + "\n"
    for name, kind in LOSSES.items():
        assert f"\n{name}: {kind.__name__}\n" in out
        assert all(f"\n    {field.name}={field.default}: " in out for field in fields(kind))
    assert "below 1 hardens, above 1 softens" in out and max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hard", "there is no loss 'hard'; expected ml, soft, distillation, confidence, product, window, next-token"),
        ("", "there is no loss ''"),
        ("Soft", "there is no loss 'Soft'"),
        ("soft:", "'' is no DIAL=VALUE of the loss 'soft'; expected temperature"),
        ("soft:0.5", "'0.5' is no DIAL=VALUE of the loss 'soft'; expected temperature"),
        ("soft:weight=1", "the loss 'soft' has no dial 'weight'; expected temperature"),
        ("ml:weight=1", "the loss 'ml' has no dial 'weight'; it has none"),
        ("soft:temperature=warm", "the dial 'temperature' of the loss 'soft' is 'warm'; expected a number"),
        ("soft:temperature=", "the dial 'temperature' of the loss 'soft' is ''; expected a number"),
        ("soft:temperature=1,temperature=2", "the dial 'temperature' of the loss 'soft' is set twice"),
        ("soft:temperature=-1", "SoftTargets: temperature is -1.0; expected a finite number above 0"),
        ("distillation:schedule=sine", "schedule is 'sine'; expected one of constant, linear, cosine"),
        ("product:alpha=nan", "ProductTargets: alpha is nan; expected a finite number from 0 up"),
        ("confidence:max_weight=2", "max_weight is 2.0; expected a number from 0 to 1"),
    ],
)
def test_a_wrong_loss_is_explained(text, says, capsys):
    with pytest.raises(SystemExit) as end:
        commands.main(["run", "--loss", text])
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == "" and says in err


@given(st.text(alphabet=st.sampled_from("softwindowml:=,.0123456789-e \x00ŷ"), max_size=30) | st.text(max_size=12))
def test_any_text_is_a_loss_or_a_usage_error(text):
    try:
        assert text == "help" or type(loss(text)) in LOSSES.values()
    except argparse.ArgumentTypeError as error:
        assert repr(text.partition(":")[0]) in str(error) or repr(text) in str(error)
