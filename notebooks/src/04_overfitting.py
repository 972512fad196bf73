# %% [markdown]
# # 04 · Overfitting to weak errors
#
# **Question.** Why does a student get worse while its training loss keeps falling?
#
# **At the end** you can
#
# * tell from two curves that a student has begun to learn its supervisor's errors;
# * show on which reviews, and say what each changed answer was changed to;
# * say which errors a student learns, which it does not, and why;
# * stop in time without looking at the test set;
# * compute *gain* and *misfit*, and say what one tells about the other.
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
# A supervisor, its labels, and two sets to look at while the student trains: 500 **test** reviews, and 100 **trusted**
# ones, whose answers somebody has checked. The trusted ones will choose for us at the end; the test reviews only
# report.

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
# test reviews, none of which the student was trained on. It has not memorised their wrong labels. It has learnt
# something that makes it err in the same places.

# %% tags=["nbval-ignore-output"]
print(f"Of {(~weak.correct).sum()} weak errors the student corrects {top.correction:.0%} at its best,")
print(f"and {last.correction:.0%} at the end.")

# %% [markdown]
# ## Which answers flip
#
# Take two moments of one training. An answer that differs between them has **flipped**. What to? Hold the new answer
# against the truth and against the weak answer:
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
# Move the slider with the mouse or the arrow keys. *Compared with* says which earlier moment the answers are held
# against. In the column *course*, a row of full dots that ends in empty ones is a review that was lost.

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
# text says that this label is wrong. Its gradient is alone, and the others do not point its way. A systematic error is
# a **rule** ("never mind the *not*"), and each wrong label teaches it once more. Networks take up patterns first and
# memorise last (Arpit et al. 2017, arXiv 1706.05394). A student that is trained for much longer memorises random errors
# too; the study below shows it.
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
# ## When to stop
#
# The best snapshot was found with the truth of the test set. That is an **oracle**: nobody who needs weak labels
# has it. What may one do instead? Burns et al. (2023, arXiv 2312.09390) measure what the oracle would
# gain. We have 100 trusted reviews.

# %%
room.predict(
    "04-stop",
    "100 trusted reviews choose the snapshot. Which part of the oracle's gain over the end is saved?",
    ["less than a third", "about half", "more than two thirds"],
)

# %% [markdown]
# **Exercise · 4 minutes, easy.** The accuracies on the trusted reviews at snapshots 0, 1, 2, … Which snapshot do you
# take? Never choose snapshot 0, the untrained model. Among equals take the first.


# %%
def stop_at(trusted):
    """A list of accuracies in, the number of the chosen snapshot out."""
    ...  # your code here


# %%
room.check(stop_at)

# %% [markdown]
# The oracle's choice saves all of its gain, the end saves nothing. And yours?

# %% tags=["nbval-ignore-output"]
choose, trusted = room.yours(stop_at), list(outcome.trusted_curve)
print("accuracy on the trusted reviews:", *(f"{value:.2f}" for value in trusted))
chosen = curve[choose(trusted)]
for name, snapshot in (("the oracle (not allowed)", best), ("100 trusted reviews", chosen), ("the end", end)):
    print(f"{name:<25} step {snapshot.step:3}   test accuracy {snapshot.evaluation.accuracy:.3f}")
saved = (chosen.evaluation.accuracy - last.accuracy) / (top.accuracy - last.accuracy)
print(f"saved: {saved:.0%} of the oracle's gain")

# %% [markdown]
# Other rules need no trusted reviews: stop after a fixed number of passes, or at the last moment at which the agreement
# is not above the supervisor's accuracy. The study `mechanism` tried them all:

# %% tags=["nbval-ignore-output"]
options = ["less than a third", "about half", "more than two thirds"]
found = options[sum(saved > limit for limit in (1 / 3, 2 / 3))]
for name, at in room.measured("mechanism")["means"].items():
    if name.startswith("recovered by "):
        print(f"over {at['n']} seeds, {name}: {at['mean']:.2f} of the gain [{at['low']:.2f}, {at['high']:.2f}]")
room.outcome("04-stop", found, "The fall is far larger than the noise of a hundred reviews.")

# %% [markdown]
# An accuracy of 0.95 on 100 reviews has a standard error of $\sqrt{0.95 \cdot 0.05 / 100} \approx 0.02$. Two good
# snapshots cannot be told apart with it. A good one and a spoilt one can. Agreement asks for no truth, and cannot be
# relied on: it exceeds $a$ only once repeated errors outnumber the right labels that the student misses.
#
# But is that the best use of 100 true answers? One may also *train* on them. The study `budget` did, without any weak label:

# %%
taught = [row["accuracy"] for row in room.measured("budget")["rows"] if (row["human"], row["weak_labels"]) == (100, 0)]
print(f"trained on 100 true answers alone: accuracy {np.mean(taught):.3f}, mean over {len(taught)} seeds")

# %% [markdown]
# That is more than stopped students of weak labels reach here. The trusted reviews stand for a situation in which a few
# answers can be checked and cannot teach, because the task is too hard to be taught by a hundred of them.
#
# ## Over many seeds
#
# One seed shows little. The study `mechanism` trained for longer and over several seeds, each with its own split and
# its own supervisor. It is too long to run here, so its results are shipped with the kit (`w2s-lab study mechanism`
# makes them anew). In the figure 0 is the weak supervisor and 1 the strong ceiling: the PGR.

# %% tags=["nbval-ignore-output"]
up = room.measured("mechanism")["means"]["imitation_end_minus_best"]
print(f"From best to end, imitation rises by {up['mean']:.2f} [{up['low']:.2f}, {up['high']:.2f}].")
room.study_figure("when to stop")

# %% [markdown]
# And when does it begin? The study `overfitting` varies the passes, the learning rate and the kind of errors. At the
# higher rate the student is at its supervisor's level at the first look already, after one pass: with so few looks, the
# best moment is missed. On the right, 40 % of the labels are wrong, far more than the weak supervisor gets wrong; the
# student makes much better use of them.
#
# Then who may choose the rate and the number of passes? The study `recipes` compares rules that need no truth at
# all, some truth, or the test set.
# A *rehearsal* needs only the true examples that the supervisor has had: a third of them trains a weaker supervisor, which
# labels half of them for students, and the rest says which rate and which moment were best. All these are moments of
# trainings that were planned for six passes. Three passes that are planned as three, so that the rate falls to 0 by then,
# recover more than the first row (notebook 03), and as much as the rehearsal as far as one can tell.

# %% tags=["nbval-ignore-output"]
for rule, pgr in room.measured("recipes")["rules"].items():
    print(f"{rule:<42} PGR {pgr['mean']:.2f} [{pgr['low']:.2f}, {pgr['high']:.2f}]")
room.study_figure("when it begins")

# %% [markdown]
# ## Gain and misfit
#
# A student that agrees with its supervisor in everything cannot be better. How much better can it be, then, if it
# differs? Charikar et al. (2024, arXiv 2405.15116) answer with squared distances between distributions over the
# answers:
#
# $$\text{gain} = \lVert \text{weak} - \text{truth} \rVert^2 - \lVert \text{student} - \text{truth} \rVert^2, \qquad
# \text{misfit} = \lVert \text{student} - \text{weak} \rVert^2$$
#
# Their theorem: if the student is the best fit to its supervisor within a *convex* class of functions, and the truth is
# in that class, then **gain ≥ misfit**. It is Pythagoras: the student is the point of the class that is nearest to the
# supervisor. Seen from there, supervisor and truth lie at a right angle or a wider one, so the squares of the two
# sides at the student add up to no more than the square of the third side.
#
# **By hand.** One review, truth (0, 1), the supervisor says (0.6, 0.4), the student (0.3, 0.7):

# %%
gain = round((0.6**2 + 0.6**2) - (0.3**2 + 0.3**2), 2)
misfit = round(0.3**2 + 0.3**2, 2)
gain, misfit

# %% [markdown]
# **Exercise · 8 minutes, medium.** For N reviews and K answers: sum over the answers, mean over the reviews.


# %%
def squared_gain_and_misfit(weak, student, truth):
    """Three arrays [N, K] of probabilities in; gain and misfit out, two numbers."""
    ...  # your code here


# %%
room.check(squared_gain_and_misfit)

# %% [markdown]
# Supervisor, truth and a student are three points, so their distances make a triangle. Here it is to scale for the three
# moments, each turned into the same plane. A right angle at the student puts it on the half circle (Thales), a wider
# angle inside. Which of the three comes nearest to what the theorem promises?

# %% tags=["nbval-ignore-output"]
measure, places = room.yours(squared_gain_and_misfit), [splits.task.answers.index(a) for a in splits.test.answers]
for name, snapshot in (("untrained", curve[0]), ("best", best), ("end", end)):
    gain, misfit = measure(bench.reference.probs, snapshot.evaluation.probs, np.eye(2)[places])
    print(f"{name:<10} misfit {misfit:.3f}   gain {gain:+.3f}")
room.misfit_plane(weak, {"untrained": curve[0].evaluation, "best": top, "end": last})

# %% [markdown]
# The untrained model is a warning: to differ is not enough. The theorem speaks of a student that has *fitted* its
# supervisor as well as its class allows, and of what it could not fit. And squared distances count how **sure** an
# answer is: a student that is as often wrong as its supervisor, and surer of it, has a gain below 0.
#
# A linear probe fitted by least squares is such a best fit in a convex class. The truth need not be in that class:

# %% tags=["nbval-ignore-output"]
rows = [row for row in room.measured("methods")["rows"] if row["grid"] == "sentiment"]
probes = [(row["misfit"], row["gain"]) for row in rows if row["method"] == "linear probe, ridge"]
misfit, gain = np.mean(probes, axis=0)
print(f"linear probe: misfit {misfit:.3f}, gain {gain:.3f}, mean over {len(probes)} seeds")
assert 0 < gain < misfit

# %% [markdown]
# It gains, but less than its misfit: no linear function of these features is the truth. And fine-tuned students are no
# convex class at all. The study `methods` has many of them, trained on the same supervisors' labels in different ways.

# %%
room.predict(
    "04-misfit",
    "Students that differ more from their supervisor: do they gain more?",
    ["they gain less", "no relation", "they gain more"],
)

# %% tags=["nbval-ignore-output"]
room.study_figure("gain and misfit")

# %% tags=["nbval-ignore-output"]
fit = room.measured("methods")["gain against misfit"]
found = "they gain more" if fit["low"] > 0 else "they gain less" if fit["high"] < 0 else "no relation"
slope = f"{fit['slope']:.2f} [{fit['low']:.2f}, {fit['high']:.2f}]"
room.outcome("04-misfit", found, f"The slope is {slope}, over {fit['n']} fine-tuned students.")

# %% [markdown]
# The misfit needs no truth. Among students that were trained sensibly on the same labels, the one that could be brought
# to agree least is a good bet. (The points of one seed share a supervisor: the interval is clustered by seed.)
#
# ## An open task
#
# **Open task · 20 minutes, hard.** Write a rule of your own that says when to stop. It is tried on eight recorded trainings (study `tilt`): it
# gets the accuracies on 100 trusted reviews at snapshots 0, 1, 2, …, the agreements with the supervisor, and the
# supervisor's accuracy. Training costs: what comes more than three snapshots after the chosen one must not change the
# choice.


# %%
def my_stop(trusted, agreement, weak):
    """Two lists of fractions, one for each snapshot, and a fraction; the number of the chosen snapshot out."""
    ...  # your code here


room.check(my_stop)

# %% [markdown]
# <details><summary>A sample discussion. Unfold it when your answer is accepted.</summary>
#
# Patience is the dial: a rule that waits longer is fooled less often by the noise of a hundred reviews, and trains longer.
# In these trainings waiting for three snapshots saves most of the gain. Agreement above the supervisor's accuracy is a
# second sign that needs no truth; alone it comes late or never.
#
# Eight trainings on one task chose this rule, so its part of the gain is flattering. An honest number comes from seeds that
# were not looked at while the rule was made.
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
# * Trusted reviews from the same world choose well. Where the trusted examples are few, or of another kind than those
#   that matter, they may choose badly.
# * To stop early is not to learn what the supervisor cannot teach: the best snapshot is still below the ceiling.
# * Gain and misfit go together in these students. A student can be made to differ at will, and gain nothing by it.
#
# **Next:** `05_distillation.ipynb` writes the same training as a distance between two distributions, and turns the hard
# labels into soft ones.
