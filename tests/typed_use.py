"""How a user writes it, for the type checker (`make lint`): names complete, and have the types that are documented.

Nothing here is run.
"""

from typing import assert_type

import w2s_lab as w2s
from w2s_lab.experiments import Plan, weak_to_strong
from w2s_lab.methods import mixing
from w2s_lab.models import load_model
from w2s_lab.training import train

splits = w2s.load_splits("sentiment", seed=0, sizes=w2s.SplitSizes(100, 100, 50, 10))
assert_type(splits, w2s.Splits)
assert_type(splits.student_train, w2s.LabelledSet)
recipe = w2s.Recipe(epochs=1, learning_rate=1e-4, loss=w2s.SoftTargets(temperature=2.0), lora=w2s.LoRA(rank=4, alpha=8))

weak = w2s.train("pocket-s", splits.supervisor_train, w2s.Recipe(epochs=4))
assert_type(weak, w2s.LanguageModel)
labels = w2s.weak_labels(weak, splits.student_train)
assert_type(labels, w2s.LabelledSet)
assert_type(labels.label_accuracy, float | None)
student = train(load_model("pocket-l"), labels, recipe)
ceiling = w2s.train("pocket-l", splits.student_train, recipe, watch=splits.test)
for snapshot in w2s.training_steps(w2s.load_model("pocket-l"), labels, recipe, watch=splits.test):
    assert_type(snapshot, w2s.Snapshot)

result = w2s.compare(weak, student, ceiling, splits.test)
assert_type(result, w2s.Comparison)
assert_type(result.pgr, float | None)
assert_type(result.weak, w2s.Evaluation)
assert_type(result.weak.accuracy, float)

kept = w2s.selection.keep(labels, w2s.selection.confidence(labels), fraction=0.5)
assert_type(kept, w2s.LabelledSet)
assert_type(w2s.random_errors(splits.student_train, accuracy=0.8, seed=0), w2s.LabelledSet)
outcome = weak_to_strong(splits, Plan(), w2s.Store(), seed=0)
assert_type(outcome, w2s.Outcome)
assert_type(w2s.load_model("pocket-l").parameters, int)
rule: w2s.Labeller = w2s.labeller(lambda text: "positive", splits.supervisor_train)
assert_type(rule.answer(splits.test), w2s.LabelledSet)
weak_to_strong(splits, Plan(weak=lambda text: "positive"), w2s.Store(), seed=0)
mixed: w2s.LabelledSet = mixing.join(labels.take(range(10)), splits.student_train.take(range(10, 20)))

wrong_loss = w2s.Recipe(loss="hard")  # type: ignore[arg-type]
wrong_name = w2s.selektion  # type: ignore[attr-defined]
