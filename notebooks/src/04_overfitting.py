# %% [markdown]
# # 04 · Overfitting to weak errors
#
# **Question.** Why does a student get worse while its training loss keeps falling?
#
# **At the end** you can
#
# * tell from two curves that a student has begun to learn its supervisor's errors;
# * show on which reviews, and say what each changed answer was changed to;
# * say which errors a student learns, which it does not, and why.
#
# When to stop is the question of the next notebook.
#
# *About a minute of computing on a laptop the first time, seconds afterwards. No network, no GPU.*

# %%
from collections import Counter
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import w2s_lab as w2s
from w2s_lab import classroom as room

store = w2s.Store()  # finished trainings are kept here, so the second time is fast

# %% [markdown]
# ## The labels
#
# A supervisor, its labels, and 500 **test** reviews to look at while the student trains. Their truth only reports: no
# label and no step depends on it.

# %% tags=["nbval-ignore-output"]
splits = w2s.load_splits("sentiment", seed=0)
splits = replace(splits, test=splits.test.take(range(500)))  # asked often, so half of them will do
bench = w2s.Bench(splits, w2s.Plan(), store, seed=0)
labels = bench.labels
print(f"The supervisor is right on {labels.label_accuracy:.1%} of {len(labels):,} reviews that it labels,")
print(f"and on {bench.reference.label_accuracy:.1%} of the test reviews.")

# %% [markdown]
# ## Longer
#
# Until now the student saw every label a few times at most, at a low rate. Now it goes four times through all of them,
# at twice the rate. The loss on the weak labels will keep falling.

# %%
room.predict(
    "04-fall",
    "What does the student's accuracy on the test reviews do, from the first step to the last?",
    ["it rises, and stays high", "it rises, then falls back", "it never gets above the supervisor"],
)

# %% tags=["nbval-ignore-output"]
recipe = w2s.Recipe(epochs=4, learning_rate=1e-4, eval_every=16)
outcome = bench.student(labels, recipe)
curve, weak = outcome.curve, outcome.comparison.weak  # snapshots, and the supervisor, on the test reviews

# %% tags=["nbval-ignore-output"]
for snapshot in curve:
    loss, now = snapshot.train_loss or np.nan, snapshot.evaluation
    positive = now.predictions.count("positive") / len(now)
    print(f"step {snapshot.step:3}: loss {loss:5.2f}, accuracy {now.accuracy:.3f}", end=", ")
    print(f"agreement {now.agreement:.3f}, says positive {positive:.2f}")
best, end = outcome.best, curve[-1]
assert best.evaluation.accuracy > max(weak.accuracy, end.evaluation.accuracy) + 0.05
room.outcome("04-fall", "it rises, then falls back", "First it learns what is asked, then its supervisor's habits.")

# %% tags=["nbval-ignore-output"]
w2s.plots.learning_curves(curve, weak=weak.accuracy)
plt.show()
top, last = best.evaluation, end.evaluation
print(f"From the best snapshot to the end: accuracy {top.accuracy:.2f} → {last.accuracy:.2f},")
print(f"agreement with the supervisor {top.agreement:.2f} → {last.agreement:.2f}.")

# %% [markdown]
# The first steps are jagged. Look at the last number of each line: a fresh student leans towards one answer, now more,
# now less, until it has found the balance. What comes after the peak is of another kind: there the balance is right,
# and the accuracy does not come back.
#
# ## Why agreement gives it away
#
# **By hand.** A supervisor is right in 0.80 of all cases. A student agrees with it in 0.92. At most 0.80 of that
# agreement can be with right answers. The rest is agreement with errors:

# %%
round(0.92 - 0.80, 2)

# %% [markdown]
# So where agreement $A$ is above the supervisor's accuracy $a$, at least $A - a$ of all answers are repeated errors,
# and the student is right in at most $1 - (A - a)$. No truth is needed to see this, only an idea of how good the
# supervisor is. It is a bound, not an estimate:

# %% tags=["nbval-ignore-output"]
bound, repeated = last.agreement - weak.accuracy, last.imitation * (1 - weak.accuracy)
print(f"at least  A − a = {bound:.3f} of all answers are repeated errors")
print(f"in fact           {repeated:.3f}")
assert repeated >= bound

# %% [markdown]
# ## Where the supervisor is wrong
#
# *Imitation* is P(student = weak | weak wrong), *correction* is P(student = truth | weak wrong). Here both are over the
# test reviews. The student was trained on none of them, so it has not memorised their wrong labels. It has learnt
# something that makes it err in the same places.

# %% tags=["nbval-ignore-output"]
print(f"Of {(~weak.correct).sum()} weak errors the student corrects {top.correction:.0%} at its best,")
print(f"and {last.correction:.0%} at the end.")

# %% [markdown]
# ## Which answers flip
#
# Take two moments of one training. An answer that differs between them has **flipped**. To what? Compare the new
# answer with the truth and with the weak answer:
#
# | the new answer is | what the weak supervisor says | not what it says |
# |---|---|---|
# | **true** | learnt | corrected |
# | **false** | imitated | own error |
#
# **Exercise · 10 minutes, medium.** Count the flips of each kind. Four lists of answers to the same examples, in the same order.


# %%
def count_flips(before, after, weak, truth):
    """Four lists of N answers in; {"corrected": n, "imitated": n, "learnt": n, "own error": n} out."""
    ...  # your code here


# %%
room.check(count_flips)

# %% [markdown]
# The package has the same, and keeps the reviews. From the best snapshot to the last one:

# %% tags=["nbval-ignore-output"]
changed, count = room.flips(best, end, splits.test), room.yours(count_flips)
print(count(top.predictions, last.predictions, weak.predictions, splits.test.answers))
for flip in [flip for flip in changed if flip.kind == "imitated"][:5]:
    print(f"{flip.before} → {flip.after}: {flip.example.input}")

# %% [markdown]
# What kind of reviews are these? Each carries its **slices**: how it is built.

# %% tags=["nbval-ignore-output"]
for kind in ("imitated", "own error"):
    slices = Counter(tag for flip in changed if flip.kind == kind for tag in flip.example.tags)
    print(f"{kind:<10}", ", ".join(f"{tag} {count}" for tag, count in slices.most_common()))
hard = {tag for tag, (right, _) in weak.by_slice().items() if right < weak.accuracy}
own = [flip for flip in changed if flip.kind == "own error"]
share = sum(bool(hard & set(flip.example.tags)) for flip in own) / max(1, len(own))
print(f"{share:.0%} of the own errors lie in the supervisor's weak slices: {', '.join(sorted(hard))}.")

# %% [markdown]
# Look at the own errors. There the supervisor is *right*, and its student wrong, on reviews built like those that
# the supervisor gets wrong. The student has not copied a list of errors. It has learnt the **rule** behind them, and
# applies it where the supervisor did not.
#
# ### See it happen
#
# Move the slider with the mouse or the arrow keys. *Compared with* says which earlier moment the answers are
# compared with. In the column *course*, a row of full dots that ends in empty ones is a review that was lost.

# %% tags=["nbval-ignore-output"]
room.flip_inspector(curve, splits.test, store)

# %% [markdown]
# * Compare each step with the *previous* one. Between which two snapshots does most imitation begin?
# * Choose *learnt* and the first steps: what does a student learn before it learns its supervisor's errors?
# * Choose the tag *double-negation*. Not everything that is learnt late is wrong.
# * *Real English*: film reviews that people wrote, a bag of words supervises, and a linear probe on SmolLM2's features
#   learns its labels step by step. Is there a best snapshot here, too? (`docs/real_english.md` says how to fetch them.)
#
# ## As many errors, elsewhere
#
# A control is needed. Perhaps any student would suffer from so many wrong labels? So take the truth, and make **as
# many** labels wrong, at random places.

# %%
room.predict(
    "04-random",
    "The same training on labels with as many errors, at random places. Where does the student end?",
    ["level with the labels, as before", "between the labels and the truth", "close to the truth"],
)

# %% [markdown]
# **Exercise · 10 minutes, medium.** Make such labels. Draw one permutation of all places with `np.random.default_rng(seed)`; the first
# `round(accuracy * N)` places of it stay right, the others get the other answer.


# %%
def wrong_at_random(truth, accuracy, seed):
    """N answers, "positive" or "negative", in; as many out, round(accuracy * N) of them unchanged."""
    ...  # your code here


# %%
room.check(wrong_at_random)

# %% tags=["nbval-ignore-output"]
spoil, truth = room.yours(wrong_at_random), splits.student_train
random = replace(truth, answers=tuple(spoil(list(truth.answers), labels.label_accuracy, 0)), source="errors of mine")
print(f"right: {labels.label_accuracy:.4f} of the weak labels, {random.label_accuracy:.4f} of these")
assert abs(random.label_accuracy - labels.label_accuracy) < 1e-3
control = bench.student(random, recipe)

# %% tags=["nbval-ignore-output"]
both, steps = {"random errors": control.curve, "weak labels": curve}, [snapshot.step for snapshot in curve]
curves = {name: [snapshot.evaluation.accuracy for snapshot in one] for name, one in both.items()}
level, spared = {"labels that are right": labels.label_accuracy}, control.curve[-1].evaluation
look = {"role": ["random", "student"], "across": level, "y_range": (0.5, 1)}
room.lines(("optimizer steps", steps), "accuracy (test reviews)", curves, **look).show()
print(f"At the end: {last.accuracy:.2f} with weak labels, {spared.accuracy:.2f} with random errors.")

# %% tags=["nbval-ignore-output"]
assert spared.accuracy > last.accuracy + 0.05
climbed = (spared.accuracy - labels.label_accuracy) / (1 - labels.label_accuracy)
ends = ["level with the labels, as before", "between the labels and the truth", "close to the truth"]
found = ends[sum(climbed > limit for limit in (0.2, 0.8))]
room.outcome("04-random", found, "No rule says where these errors are.")

# %% [markdown]
# The jagged beginning is in both curves: it has nothing to do with weak errors. The fall is in one.
#
# Why? Look at the labels that the two students were *trained* on. How many of the wrong ones do they repeat?

# %% tags=["nbval-ignore-output"]
watched = {"watch": bench.watch, "reference": bench.watched}  # so the store has this training, and hands it back
for name, given in (("weak labels", labels), ("random errors", random)):
    model = bench.train(bench.strong, given, recipe, "strong student", **watched)
    wrong = given.take([a != example.answer for a, example in zip(given.answers, given.examples, strict=True)])
    repeated = np.mean(np.array(store.labels(model, wrong).answers) == wrong.answers)
    print(f"{name:<14} {repeated:.0%} of {len(wrong)} wrong training labels repeated")

# %% [markdown]
# A random error can only be **memorised**, one by one, against everything else that the student knows: nothing in the
# text says that this label is wrong. Its gradient is alone: no other label pulls the same way. A systematic error is
# a **rule** ("never mind the *not*"), and each wrong label teaches it once more. Networks learn patterns first and
# memorise last (Arpit et al. 2017, arXiv 1706.05394). A student that is trained for much longer loses accuracy to random
# errors, too (study `mechanism`, in the next notebook).
#
# So it matters less how many labels are wrong than **where they are wrong**.
#
# ### Choose the errors yourself
#
# Here the student is a linear probe on the strong model's frozen features: it learns in milliseconds, at every move of
# the slider. The dotted line is a student as good as its labels.

# %% tags=["nbval-ignore-output"]
room.error_simulator("pocket-l", labels, bench.reference, store).set(kind="slice")

# %% [markdown]
# * Errors *in one class*: from how many on is the probe **worse** than its labels? Count what is wrong *within* the
#   class: where more than half of it is, the majority teaches the error.
# * Errors *in the hard slices* are much like the real weak labels. What about the last row of the table, the wrong
#   labels that it repeats?
# * Draw other places. Which of the three kinds depends on luck?
# * *Real English*: where do the real weak labels lie, beside as many errors at random places?
#
# ## An open task
#
# To know which errors to look for, make the worst ones yourself. How many reviews of each slice there are:

# %% tags=["nbval-ignore-output"]
sizes = Counter(tag for example in splits.student_train.examples for tag in example.tags)
print(f"of {len(splits.student_train):,}:", ", ".join(f"{tag} {count}" for tag, count in sizes.most_common()))

# %% [markdown]
# **Open task · 25 minutes, hard.** Spoil the labels of the first 600 training reviews. As in the simulator, a linear probe on
# the strong model's features learns what you return. Make errors that it learns:
#
# * at most `budget` labels are wrong: a fifth, about as many as the supervisor's;
# * the probe repeats at least half of the wrong labels;
# * on new reviews its accuracy is at least 0.07 lower than after as many errors at random places;
# * counting answers gives nothing away: at least two of five wrong labels are positive, and at least two of five negative.
#
# The first check takes some seconds, since the model has to read the reviews.


# %%
def my_errors(reviews, slices, truth, budget):
    """N texts, N tuples of slices such as ("negated",), N answers, and a number in; N answers out."""
    ...  # your code here


# %%
room.check(my_errors)

# %% [markdown]
# <details><summary>A sample discussion. Unfold it when your answer is accepted.</summary>
#
# Two slices are enough. In both, one opinion is set against another: critics say something and are wrong, or *but overall* the opposite
# holds. Each of these reviews gets the other answer. The student takes up the rule, since each wrong label teaches it once more, and applies it to
# new reviews. The first of the two alone costs more per wrong label, and less in all.
#
# What counts as a rule depends on who learns. That a text has an odd number of letters is a rule, too. The features of this student
# hardly show it, so for the student these errors are at random places. Try it.
#
# Errors in one class would cost at least as much, and whoever counts answers would notice. Your errors can be noticed, too: check a few labels of
# each slice, as your reading plan of notebook 02 did. In some slices most would be wrong. So where few labels can be checked, it matters
# which.
#
# </details>
#
# ## Quiz

# %%
room.quiz("04")

# %% [markdown]
# ## What this does not show
#
# * The world was built so that a small supervisor misreads some constructions and a larger model does not. Whether a
#   real supervisor's errors are systematic, and simple enough to be learnt, is a question about that supervisor.
# * When the student begins to overfit depends on the pre-training of this one pair. On two others, three passes are not
#   seen to cost anything, and six are (`w2s-lab study pretrainings`, `docs/findings.md`).
# * One split, one seed. The study `mechanism` has eight of each; the next notebook reads it.
# * In the simulator and in the open task the student is a linear probe on frozen features. A network that is fine-tuned can learn rules
#   that these features do not show.
#
# **Next:** `04b_when_to_stop.ipynb` asks how to stop in time when the truth of the test reviews is not there to tell.
