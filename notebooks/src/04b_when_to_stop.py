# %% [markdown]
# # 04b · When to stop
#
# **Question.** A student gets worse while it trains. How can it be stopped in time where nobody knows the truth?
#
# **At the end** you can
#
# * choose a snapshot with a hundred trusted examples, and say how far so few can be relied on;
# * say which rules may choose, what truth each of them needs, and how much each has saved over many seeds;
# * compute *gain* and *misfit*, and say what one tells about the other.
#
# *Seconds of computing on a laptop after notebook 04, a minute without it. No network, no GPU.*

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import w2s_lab as w2s
from w2s_lab import classroom as room

store = w2s.Store()  # finished trainings are kept here, so the second time is fast

# %% [markdown]
# ## The student of notebook 04
#
# Labels, recipe and seed are those of notebook 04. If the store holds that training, it hands it back; if not, it is done
# now.

# %% tags=["nbval-ignore-output"]
splits = w2s.load_splits("sentiment", seed=0)
splits = replace(splits, test=splits.test.take(range(500)))  # asked often, so half of them will do
bench = w2s.Bench(splits, w2s.Plan(), store, seed=0)
outcome = bench.student(bench.labels, w2s.Recipe(epochs=4, learning_rate=1e-4, eval_every=16))
curve, weak = outcome.curve, outcome.comparison.weak  # snapshots, and the supervisor, on the test reviews
best, end = outcome.best, curve[-1]

# %% tags=["nbval-ignore-output"]
w2s.plots.learning_curves(curve, weak=weak.accuracy)
plt.show()
top, last = best.evaluation, end.evaluation
print(f"From the best snapshot to the end: accuracy {top.accuracy:.2f} → {last.accuracy:.2f},")
print(f"agreement with the supervisor {top.agreement:.2f} → {last.agreement:.2f}.")

# %% [markdown]
# The student rises above its supervisor, then learns its supervisor's errors and falls back. Whoever trains it would
# like to have the snapshot at the peak.
#
# ## Who may choose?
#
# The best snapshot was found with the truth of the test set. That is an **oracle**: nobody who needs weak labels
# has that truth. Burns et al. (2023, arXiv 2312.09390) measure what the oracle would gain. What may one do instead? We have
# 100 **trusted** reviews, whose answers somebody has checked. No student is trained on them, and they are not among the test reviews.

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
# Other rules do without trusted reviews. One stops after a fixed number of passes. Another stops at the last moment at which
# the agreement is not above the supervisor's accuracy $a$; above $a$, repeated errors are certain (notebook 04). The
# study `mechanism` tried them all:

# %% tags=["nbval-ignore-output"]
options = ["less than a third", "about half", "more than two thirds"]
found = options[sum(saved > limit for limit in (1 / 3, 2 / 3))]
for name, at in room.measured("mechanism")["means"].items():
    if name.startswith("recovered by "):
        print(f"over {at['n']} seeds, {name}: {at['mean']:.2f} of the gain [{at['low']:.2f}, {at['high']:.2f}]")
room.outcome("04-stop", found, "The fall is far larger than the noise of a hundred reviews.")

# %% [markdown]
# Agreement needs no true answers but for an estimate of $a$, and cannot be relied on: it exceeds $a$ only once repeated errors outnumber the right
# labels that the student misses.
#
# ## Would fewer do?
#
# An accuracy of 0.95 on 100 reviews has a standard error of $\sqrt{0.95 \cdot 0.05 / 100} \approx 0.02$. Two good
# snapshots cannot be told apart with it. A good one and a spoilt one can.
#
# Would five reviews do? Let some of the test reviews play the trusted ones, let your rule choose, and let the others report.

# %%
right, rng = np.array([snapshot.evaluation.correct for snapshot in curve]), np.random.default_rng(0)


def saved_by(rule, n):  # the part of the oracle's gain that n trusted reviews save, mean over 500 draws
    parts = []
    for order in (rng.permutation(right.shape[1]) for _ in range(500)):
        few, others = right[:, order[:n]].mean(1), right[:, order[n:]].mean(1)
        parts.append((others[rule(few.tolist())] - others[-1]) / (others.max() - others[-1]))
    return np.mean(parts)


# %% [markdown]
# Your rule takes the first of equals. Another one takes the last:


# %% tags=["nbval-ignore-output"]
def last_of_equals(trusted):
    return len(trusted) - 1 - int(np.argmax(trusted[::-1]))


shares = {n: (saved_by(choose, n), saved_by(last_of_equals, n)) for n in (5, 20, 100)}
for n, (first, late) in shares.items():
    print(f"{n:3} trusted reviews save {first:4.0%} by your rule, {late:4.0%} with the last of equals")
assert shares[5][0] - shares[5][1] > 0.2 > shares[100][0] - shares[100][1]

# %% [markdown]
# Five do as well as a hundred, but not because five can tell snapshots apart. With so few reviews many snapshots are equal, and the first
# of them is taken. That the good moment comes early is a guess, and in this training it is right. Without that guess one
# needs more reviews.
#
# ## To choose, or to teach?
#
# Is it the best use of 100 true answers to let them choose? One may also *train* on them. The study `budget` did so, without any
# weak label:

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
# And when does overfitting begin? The study `overfitting` varies the passes, the learning rate and the kind of errors. At the
# higher rate the student is at its supervisor's level at the first look already, after one pass: with so few looks, the
# best moment is missed. On the right, 40 % of the labels are wrong, far more than the weak supervisor gets wrong; the
# student makes much better use of them.
#
# Then who may choose the rate and the number of passes? The study `recipes` compares rules that need no truth at
# all, some truth, or the test set.
# A *rehearsal* needs only the true examples that the supervisor has had: a third of them trains a weaker supervisor, which
# labels half of them for students, and the rest says which rate and which moment were best. All rows are moments of
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
room.quiz("04b")

# %% [markdown]
# ## What this does not show
#
# * How many trusted reviews are enough was asked of one training. Where the best moment comes late, the first of equals is
#   a bad guess.
# * When the student begins to overfit depends on the pre-training of this one pair. On two others, three passes are not
#   seen to cost anything, and six are (`w2s-lab study pretrainings`, `docs/findings.md`).
# * Trusted reviews from the same world choose well. Where the trusted examples are few, or of another kind than those
#   that matter, they may choose badly.
# * To stop early is not to learn what the supervisor cannot teach: the best snapshot is still below the ceiling.
# * Gain and misfit go together in these students. A student can be made to differ at will, and gain nothing by it.
#
# **Next:** `05_distillation.ipynb` writes the same training as a distance between two distributions, and turns the hard
# labels into soft ones.
