"""The token viewer: sums that are those of the package, and controls that change what is seen."""

import math
from dataclasses import replace

import pytest
from pictures import stored

from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.token_viewer import (
    MOST,
    score_tokens,
    shown_answer_log_prob,
    shown_prompt_log_prob,
    token_picture,
    token_viewer,
)
from w2s_lab.classroom.toolkit.sketch import Box, Words
from w2s_lab.figures.plots import ROLE
from w2s_lab.training.labelling import weak_labels


@pytest.fixture(scope="module")
def labelled(llama, closed_set):
    return weak_labels(llama, closed_set.take(range(6)))


@pytest.fixture
def viewer(llama, gpt2, labelled):
    return token_viewer({"weak": llama, "before": gpt2}, labelled)


def independent(model, example, answer: str) -> float:
    prompts, _ = model.encode_prompts([example], model.window - 8)
    return model.log_prob(prompts, model.encode_answers([answer])).item()


def written(panel) -> list[str]:
    return [item.text for item in panel.view.charts[0].items if isinstance(item, Words)]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_sum_over_the_answer_is_the_sequence_log_probability(name, labelled, request):
    model = request.getfixturevalue(name)
    for row, example in enumerate(labelled.examples):
        (prompt,), _ = model.encode_prompts([example], model.window - 8)
        (answer,) = model.encode_answers([labelled.answers[row]])
        tokens = score_tokens(model, prompt, answer)
        assert len(tokens) == len(prompt) + len(answer)
        assert [token.answer for token in tokens] == [False] * len(prompt) + [True] * len(answer)
        assert tokens[0].log_prob is None and all(token.log_prob <= 0 for token in tokens[1:])
        assert shown_answer_log_prob(tokens) == pytest.approx(model.log_prob([prompt], [answer]).item(), abs=1e-4)
        whole = model.log_prob([prompt[:1]], [prompt[1:] + answer]).item()
        assert shown_answer_log_prob(tokens) + shown_prompt_log_prob(tokens) == pytest.approx(whole, abs=1e-3)
        assert "".join(token.text for token in tokens[len(prompt) : -1]).strip() == labelled.answers[row]
        assert tokens[-1].text == "<end>"


def test_a_first_choice_is_at_least_as_likely_as_the_token(llama, labelled):
    prompts, _ = llama.encode_prompts(labelled.examples, llama.window - 8)
    tokens = score_tokens(llama, prompts[0], llama.encode_answers(["a joy"])[0])
    for token in tokens[1:]:
        assert token.first_choice[1] >= math.exp(token.log_prob) - 1e-4


def test_controls_change_example_answer_and_model(viewer, llama, gpt2, labelled):
    models, whose = {"weak": llama, "before": gpt2}, {"weak": labelled.answers, "truth": None}
    for name in models:
        for row in (0, 3):
            for answer in whose:
                viewer.set(example=row, answer=answer, model=name)
                text = labelled.answers[row] if answer == "weak" else labelled.examples[row].answer
                total = independent(models[name], labelled.examples[row], text)
                assert f"= −{-total:.3f} nats" in viewer.view.says and f"“{text}”" in viewer.view.says
                assert f"{-total:.3f}" in written(viewer)


def test_another_answer_is_the_likeliest_other_one(viewer, labelled):
    viewer.set(example=2, answer="other")
    order = labelled.probs[2].argsort()
    assert f"“{labelled.task.answers[order[-2]]}”" in viewer.view.says


def test_without_the_mask_the_prompt_counts(viewer, llama, labelled):
    viewer.set(example=1, answer="weak", model="weak")
    masked = viewer.view.charts[0]
    viewer.set(masked=False)
    (prompt,), _ = llama.encode_prompts([labelled.examples[1]], llama.window - 8)
    (answer,) = llama.encode_answers([labelled.answers[1]])
    whole = llama.log_prob([prompt[:1]], [prompt[1:] + answer]).item()
    assert f"−{-whole:.1f} nats" in viewer.view.says and "wrong on purpose" in viewer.view.says
    assert any(item.hatch for item in viewer.view.charts[0].items if isinstance(item, Box))
    assert not any(item.hatch for item in masked.items if isinstance(item, Box))
    assert f"prompt, {len(prompt)} tokens" in written(viewer)


def test_roles_have_their_colours_and_names(viewer):
    for model, role, name in (("weak", "weak", ROLE["weak"].name), ("before", "student", "before")):
        viewer.set(model=model)
        assert ROLE[role].color in viewer.view.charts[0].svg() and viewer.view.says.startswith(name)


def test_stored_it_is_a_picture_and_words(viewer):
    assert viewer.view.says in stored(viewer)["text/plain"]


def test_open_task_has_no_other_answer(llama, open_set):
    viewer = token_viewer({"student": llama}, weak_labels(llama, open_set.take(range(2))))
    viewer.set(answer="truth")
    assert open_set.answers[0] in viewer.view.says
    assert "no other answer" in viewer.set(answer="other").view.says


def test_long_answers_keep_their_sum(llama, labelled):
    example = labelled.examples[0]
    (prompt,), _ = llama.encode_prompts([example], 100)
    (answer,) = llama.encode_answers([" ".join(["a great film and a joy"] * 5)])
    tokens = score_tokens(llama, prompt, answer)
    texts = [item.text for item in token_picture(tokens, "#000000", "ŷ").items if isinstance(item, Words)]
    assert f"{len(answer) - 12} more tokens" in texts and f"{-shown_answer_log_prob(tokens):.3f}" in texts


def test_errors_say_what_is_expected(llama, labelled, closed_set):
    with pytest.raises(ValueError, match=r"0 models and 6 examples.*at least one model"):
        token_viewer({}, labelled)
    with pytest.raises(ValueError, match=rf"{len(closed_set)} examples; expected .* 1 to {MOST}.*take"):
        token_viewer({"weak": llama}, closed_set)
    with pytest.raises(ValueError, match="0 examples"):
        token_viewer({"weak": llama}, labelled.take([]))
    with pytest.raises(ValueError, match="no control 'models'"):
        token_viewer({"weak": llama}, labelled.take([0])).set(models="weak")


def test_truth_may_be_unknown(llama, labelled):
    blind = replace(labelled.take([0]), examples=(replace(labelled.examples[0], answer=None),))
    viewer = token_viewer({"weak": llama}, blind)
    assert "log Pr(ŷ|x)" in viewer.view.says
    assert "truth is not known" in viewer.set(answer="truth").view.says


def test_it_is_found_at_the_front_door():
    assert room.token_viewer is token_viewer
