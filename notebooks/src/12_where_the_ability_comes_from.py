# %% [markdown]
# # 12 · Where the ability comes from
#
# **Question.** Which of its teacher's errors can a student correct, and where does that end?
#
# **At the end** you can
#
# * say how much of a student's gain here was told in pre-training;
# * prove what a student must answer if it cannot tell some examples apart, and when a majority of right labels suffices;
# * predict a student's corrections from its pre-trained features, before it is trained;
# * hold such predictions against real students, early and late, and say what they do not explain;
# * say what becomes of an aspect that a supervisor cannot see, and name the places where correction ends.
#
# *About a minute of computing on a laptop the first time, seconds afterwards; no network.*

# %%
import numpy as np

import w2s_lab as w2s
from w2s_lab import classroom as room
from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.studies.study import column, mean_of, select

store = w2s.Store()

# %% tags=["nbval-ignore-output"]
bench = w2s.Bench(w2s.load_splits("sentiment", seed=0), w2s.Plan(), store, seed=0)
labels, test = bench.labels, bench.splits.test
print(f"{labels.label_accuracy:.1%} of {len(labels):,} weak labels are right")

# %% [markdown]
# ## What pre-training told
#
# Every review in the corpus of the pocket ladder is closed by sentences that follow its verdict, such as *I want my money
# back*. Burns et al. (2023) name this **pretraining leakage** among the ways in which such experiments differ from what
# they stand for: about a task beyond us all, no document tells the answer. Here pre-training belongs to the kit, so the
# share of reviews with such sentences is a dial. In all other reviews these sentences follow a coin.

# %%
room.predict(
    "12-leakage",
    "A model is pre-trained on as many reviews, of which none tells its verdict. Where does it end as a student?",
    ["below its supervisor", "level with its supervisor", "above its supervisor"],
)

# %%
leakage = [row for row in room.measured("leakage")["rows"] if row["part"] == "students"]
roles = {"weak": "weak", "trusted_accuracy": "student", "ceiling": "ceiling"}
for share in sorted({row["leakage"] for row in leakage}):
    at = {key: mean_of(select(leakage, leakage=share), key) for key in roles}
    words = (
        f"{role} {at[key]['mean']:.2f} [{at[key]['low']:.2f}, {at[key]['high']:.2f}]" for key, role in roles.items()
    )
    print(f"leakage {share:4.0%}: " + ", ".join(words))

# %%
none = select(leakage, leakage=0.0)
lead = w2s.effects.paired_effect("no leakage", column(none, "trusted_accuracy"), column(none, "weak"))
print(f"no leakage, student minus supervisor: {w2s.effects.difference(lead)}, {lead.n} seeds")
found = "above" if lead.low > 0 else "below" if lead.high < 0 else "level with"
room.outcome("12-leakage", f"{found} its supervisor", "There is nothing to elicit: the ceiling is not above it either.")

# %% [markdown]
# (`w2s-lab study leakage`, 8 seeds, students stopped on 100 trusted examples, one pre-training for each share.) What these
# labels elicit from `pocket-m` was told in its pre-training, though not in the words of the task. The kit shows how labels
# call up what is there. It does not show how a model finds out what nobody told it. On real English there is no such dial: the
# pre-training of SmolLM2 is not ours.
#
# ## A cell
#
# Call examples that a student cannot tell apart a **cell**. It gives all of them one distribution $p$ over the answers.
# If $n_k$ of the cell's $n$ labels are the answer $k$, its log-likelihood on them is $\sum_k n_k \log p_k$.
#
# **By hand.** Five labels, three of them *positive*. For which $p$ is the sum largest?

# %%
for p in (0.4, 0.5, 0.6, 0.7, 1 - 1e-9):
    print(f"Pr(positive) = {p:.1f}: {3 * np.log(p) + 2 * np.log(1 - p):7.2f} nats")

# %% [markdown]
# It is largest at $p_k = n_k/n$, here 0.6 (Gibbs' inequality). The likeliest answer there is the most frequent label. So
# such a student gives the **plurality** of the cell's labels, in the whole cell. If all examples of the cell have one
# true answer and there are two answers, it is right everywhere as soon as more than half of the labels are right, and
# nowhere if fewer than half are.

# %%
room.predict(
    "12-verdict",
    "A student can tell positive reviews from negative ones, and nothing else: two cells. It learns our weak labels. "
    "How often is it right on new reviews?",
    ["as often as the labels", "somewhat more often", "always"],
)

# %% [markdown]
# **Exercise · 8 minutes, medium.** A student tells apart nothing but the cells. What does it answer? Among equally frequent labels
# take the alphabetically first.


# %%
def answers_of_cells(labels, cells):
    """N labels and the N cells of their examples in; N answers out, the same throughout a cell."""
    ...  # your code here


# %%
room.check(answers_of_cells)

# %% [markdown]
# Three kinds of cells, made of what we know of a review: its verdict, how it is built, or both. Your function elects the
# answers on the student's own reviews:

# %% tags=["nbval-ignore-output"]
elect, truth = room.yours(answers_of_cells), [example.answer for example in labels.examples]
built = [example.tags[0] for example in labels.examples]
both = list(zip(built, truth, strict=True))
rights = {}
for name, cells in (("verdict", truth), ("construction", built), ("construction and verdict", both)):
    rights[name] = w2s.metrics.accuracy(elect(list(labels.answers), cells), truth)
    print(f"{name:<26} {len(set(cells)):>2} cells, the plurality is right in {rights[name]:.3f}")

# %% tags=["nbval-ignore-output"]
options = ["as often as the labels", "somewhat more often", "always"]
found = options[0 if rights["verdict"] < labels.label_accuracy + 0.02 else 2 if rights["verdict"] == 1 else 1]
room.outcome("12-verdict", found, "In both cells most labels are right, so both elect the truth.")

# %% tags=["nbval-ignore-output"]
for cell in w2s.majorities.majorities(labels, both):
    print(f"{' '.join(cell.cell):<28} {cell.examples:>4} labels, {cell.label_accuracy:.0%} right")

# %% [markdown]
# With the verdict alone, the errors are outvoted. Cells of one construction elect one answer for reviews of both
# verdicts. With both, there are cells in which most labels are wrong: there the supervisor errs by a rule, and the
# rule wins.
#
# ## Which examples does a student not tell apart?
#
# Nobody hands a student the verdict. What it takes for similar is laid down in its pre-trained network. So take its
# features *before* training, and give each test review the plurality of the labels of its $k$ nearest neighbours.

# %%
room.predict(
    "12-wide",
    "Of 1,500 labels, the 5 nearest vote, or the 405 nearest. Whose plurality is right more often?",
    ["that of the 5 nearest", "no difference", "that of the 405 nearest"],
)

# %% tags=["nbval-ignore-output"]
strong = bench.strong
table, of = (store.features(strong, part, layer=strong.layers) for part in (bench.splits.student_train, test))
sizes = (1, 5, 15, 45, 135, 405)
elected = {k: w2s.majorities.by_neighbours(labels, table, test, of, k=k) for k in sizes}
reached = {k: one.label_accuracy for k, one in elected.items()}

# %% tags=["nbval-ignore-output"]
weak = bench.reference.label_accuracy
line = Series(sizes, list(reached.values()), "student", "plurality of the weak labels")
level = Series((1, 405), (weak, weak), "weak", "weak supervisor", points=False)
Chart("neighbours", "test accuracy", (line, level), x_range=(1, 450), y_range=(0.7, 1.0), log_x=True).show()
lead = reached[405] - reached[5]
found = "that of the 405 nearest" if lead > 0.02 else "that of the 5 nearest" if lead < -0.02 else "no difference"
room.outcome("12-wide", found, "Wide neighbourhoods hold reviews of many kinds, and their errors are outvoted.")

# %% [markdown]
# No network was trained for that: the labels and the untrained features suffice. Eight seeds
# (`w2s-lab study majorities`):

# %%
rows = [row for row in room.measured("majorities")["rows"] if row["question"] == "cells"]
for name in ("5 neighbours", "405 neighbours", "20 clusters", "construction and verdict"):
    at = mean_of(select(rows, cells=name), "predicted")
    print(f"{name:<26} {at['mean']:.2f} [{at['low']:.2f}, {at['high']:.2f}]")
at = mean_of(select(rows, cells="5 neighbours"), "weak")
print(f"{'the supervisor':<26} {at['mean']:.2f} [{at['low']:.2f}, {at['high']:.2f}]")

# %% [markdown]
# Not every grouping predicts a correction. In k-means clusters of the same features the plurality is no better than the
# supervisor.
#
# ## Does a real student err where the plurality errs?
#
# Two models that are both right in 90 % of the cases agree often, even if they err at different places. **Error consistency**
# (Cohen's kappa; Geirhos et al. 2020, arXiv 2006.16736) takes that away: with accuracies $p$ and $q$, both are right or
# both wrong by chance in $c = pq + (1-p)(1-q)$ of the cases, and $\kappa = (\text{same} - c)/(1 - c)$.
#
# **By hand.** Of ten items, each model gets two wrong, and one of these is the same item. So both are right on seven and both
# are wrong on one: same = 0.8. By chance it would be

# %%
by_chance = 0.8 * 0.8 + 0.2 * 0.2
print(f"c = {by_chance:.2f}, kappa = {(0.8 - by_chance) / (1 - by_chance):.3f}")

# %% [markdown]
# **Exercise · 5 minutes, easy.** Compute kappa from two lists that say which items are right.


# %%
def errors_in_common(first, second):
    """Two lists of N True or False in, whether each model is right on each of the N items; Cohen's kappa out."""
    ...  # your code here


# %%
room.check(errors_in_common)

# %% [markdown]
# The supervisor answered the same test reviews. How many errors does it share with the pluralities of its labels?

# %% tags=["nbval-ignore-output"]
kappa, supervisor = room.yours(errors_in_common), w2s.score(bench.reference).correct.tolist()
print("neighbours  kappa")
for k, one in elected.items():
    print(f"{k:>10} {kappa(w2s.score(one).correct.tolist(), supervisor):>6.2f}")

# %%
room.predict(
    "12-late",
    "A student after ten passes over its weak labels. Does it err where the plurality of 5 neighbours errs, or where "
    "that of 405 does?",
    ["where that of 5 errs", "where that of 405 errs", "where neither errs"],
)

# %%
course = {
    moment: [mean_of(select(rows, kind="neighbours", size=k), f"consistency_{moment}")["mean"] for k in sizes]
    for moment in ("early", "late")
}
early, late = (
    Series(sizes, values, role, name) for (name, values), role in zip(course.items(), ("student", "same"), strict=True)
)
Chart("neighbours", "errors in common (kappa)", (early, late), x_range=(1, 450), log_x=True).show()

# %%
narrow, wide = (mean_of(select(rows, cells=f"{k} neighbours"), "consistency_late") for k in (5, 405))
found = "where that of 5 errs" if narrow["low"] > wide["high"] else "where neither errs"
said = (f"{at['mean']:.2f} [{at['low']:.2f}, {at['high']:.2f}]" for at in (narrow, wide))
room.outcome("12-late", found, "Errors in common: {} with 5 neighbours, {} with 405.".format(*said))

# %% [markdown]
# *Early* is the snapshot that 100 trusted examples choose, *late* the end. A student that fits its labels ever more
# closely comes to err as narrow neighbourhoods do. In the end no majority protects it: it has as many errors in common
# with its supervisor's own answers. The early student comes near the *accuracy* of wide neighbourhoods, and has few
# errors in common with them. **Nothing here predicts where the early student errs.**
#
# ## On real English
#
# Film reviews, a bag of words as supervisor, and features of SmolLM2 (`w2s-lab study real-majorities`, 20 seeds).

# %%
room.predict(
    "12-real",
    "On film reviews: is the plurality of 405 neighbours right more often than the supervisor?",
    ["surely more often", "one cannot tell", "surely less often"],
)

# %%
real = [row for row in room.measured("real-majorities")["rows"] if row["question"] == "cells"]
own = select(real, cells="405 neighbours")
lead = w2s.effects.paired_effect("405 neighbours", column(own, "predicted"), column(own, "weak"))
print(f"plurality minus supervisor: {w2s.effects.difference(lead)}, {lead.n} seeds")
found = "surely more often" if lead.low > 0 else "surely less often" if lead.high < 0 else "one cannot tell"
room.outcome("12-real", found, "The features of this layer hold the verdict less plainly.")

# %%
for size in ("5 neighbours", "405 neighbours"):
    early, late = (mean_of(select(real, cells=size), f"consistency_{moment}")["mean"] for moment in ("early", "late"))
    print(f"errors in common with {size:<15}: strongly regularised probe {early:.2f}, weakly regularised {late:.2f}")

# %% [markdown]
# There the strongly regularised probe, the *early* one, errs as wide neighbourhoods do. The weakly regularised one errs as
# none of them does: a probe can fit single labels without answering as the labels beside them. So majorities explain
# different students in the two worlds.
#
# ## Easy cases teach hard ones
#
# People judge easy cases well and hard ones badly. Suppose their truth covers the easy ones alone: plain reviews, without
# any negation, report or contrast. (Sun et al. 2024, arXiv 2403.09472, ask this of reward models.)

# %%
room.predict(
    "12-easy",
    "A student learns the truth of plain reviews only. How often is it right on those with a construction?",
    ["hardly more often than a coin", "about as often as the weak supervisor", "in more than 80 % of the cases"],
)

# %%
cases = [row for row in room.measured("easy-to-hard")["rows"] if row["question"] == "students"]
learnt = (
    "truth of easy cases",
    "as many truths of all kinds",
    "weak labels of easy cases",
    "bag of words, truth of easy cases",
)
hard = {arm: mean_of(select(cases, arm=arm), "trusted_hard") for arm in (*learnt, "the supervisor")}
for arm, at in hard.items():
    print(f"{arm:<34} right on hard cases {at['mean']:.2f} [{at['low']:.2f}, {at['high']:.2f}]")

# %%
own, weak = hard["truth of easy cases"], hard["the supervisor"]
options = ["hardly more often than a coin", "about as often as the weak supervisor", "in more than 80 % of the cases"]
found = options[2 if own["low"] > 0.8 else 1 if own["mean"] > weak["mean"] - 0.05 else 0]
room.outcome("12-easy", found, "The same words mislead a bag of words. Pre-training is the likely reason.")

# %% [markdown]
# (`w2s-lab study easy-to-hard`, 8 seeds, stopped on easy trusted examples.) As many truths of all kinds teach the hard cases
# more at this moment; at the end one cannot tell. Weak labels of the easy cases alone are corrected, too, and their student
# is far above the supervisor on the hard ones. On film reviews the truth of easy cases teaches the hard ones, too, less
# steeply; a student of weak easy labels is at most a little above the supervisor there (`docs/findings.md`).
#
# ## What the supervisor cannot see
#
# Which of two answers is better? Such **preferences** have several aspects, and a supervisor may see only one of them. Of
# two reviews, one is to be printed on a page on culture. The policy comes first: only films, books, concerts and
# museums. Where it does not decide, the favourable review is better. Our supervisor judges the verdict and is *blind* to
# the policy. The student, a linear reward on `pocket-l`'s features, could know both: documents of its pre-training say
# what was reviewed.
#
# In a *conflict* policy and verdict speak for different reviews. Take the conflicts that the ceiling, which learnt the
# truth, gets right: in which share of them does the student choose by the verdict? The student **gives up** that share.

# %%
room.predict(
    "12-blind",
    "Which share of these conflicts does the student of the blind supervisor give up?",
    ["less than a third: it knows the subjects", "a third to two thirds", "more than two thirds"],
)

# %%
pairs = room.measured("blind-spot")["rows"]
arms = ("truth", "sees both aspects", "as many random errors", "blind to the policy")
lost = {arm: mean_of(select(pairs, arm=arm), "trusted_given_up") for arm in arms}
for arm, at in lost.items():
    right = mean_of(select(pairs, arm=arm), "trusted_accuracy")["mean"]
    print(f"{arm:<22} accuracy {right:.2f}, given up {at['mean']:.2f} [{at['low']:.2f}, {at['high']:.2f}]")

# %%
most = lost["blind to the policy"]["mean"]
options = ["less than a third: it knows the subjects", "a third to two thirds", "more than two thirds"]
found = options[sum(most > limit for limit in (1 / 3, 2 / 3))]
room.outcome("12-blind", found, "Its labels can be explained without what it knows of the subject.")

# %% [markdown]
# (`w2s-lab study blind-spot`, 20 seeds, stopped on 100 trusted pairs.) As many errors at random places cost much, too: a
# third of the labels is wrong. The difference between the two is due to the blind spot. Does the student turn *against* the
# policy? Look at the pairs that each aspect decides:

# %%
kinds = {"verdict": "only the verdict decides", "policy": "only the policy decides", "both": "both agree"}
kinds["conflict"] = "they conflict"
blind = [mean_of(select(pairs, arm="blind to the policy"), f"trusted_of {kind}") for kind in kinds]
bars = [Bar(name, at["mean"], "student", at["low"], at["high"]) for name, at in zip(kinds.values(), blind, strict=True)]
BarChart("accuracy of the student of blind labels", tuple(bars), marks=(Mark(0.5, "a coin"),)).show()

# %% [markdown]
# It does not. Where only the policy decides it is right about as often as a coin: no trace of the policy shows. In a
# conflict it follows what its labels speak for. A student that saw no conflict at all gives up hardly less
# (`docs/findings.md`), although policy and verdict agree wherever both decide one of its pairs: the verdict accounts for
# these labels without the policy. Nobody is deceived here: a linear reward has no aims.
#
# ## Where it ends
#
# 1. **Errors that fill a cell.** Where most labels of what looks alike are wrong, the error is elected.
# 2. **Cells of one example.** A student that tells all its examples apart repeats each label, right or wrong.
# 3. **No cells that mean anything.** Random weights do not group reviews by their verdict. At a rate of its own, such a
#    student ends below its supervisor (notebook 03).
# 4. **What the labels can be explained without.** The ability may be there, and the labels do not call it up.
#
# ## A forecast
#
# **Open task · 15 minutes, hard.** Before anything is trained, a team wants to know what a student of its weak labels will
# correct. Write your forecast as a dictionary:
#
# * `cells`: the cells by whose plurality you predict a correction, named as in the tables (`"20 clusters"`);
# * `late`: cells that err as a student does that trains for long;
# * `real English`: does the plurality in the same `cells` beat the supervisor on film reviews? `"helps"`, `"hurts"` or
#   `"cannot tell"`;
# * `made of`: a list of what the forecast is computed from, out of `"weak labels"`, `"true answers"`,
#   `"pre-trained features"` and `"a trained student"`;
# * `limits`: a list of reasons, each a sentence, why the team should not rely on it alone.


# %%
def my_forecast():
    """Your forecast, as a dictionary with the five keys above."""
    ...  # your code here


# %%
room.check(my_forecast)

# %% [markdown]
# <details><summary>A sample discussion. Unfold it when your answer is accepted.</summary>
#
# Wide neighbourhoods need labels and features alone, and beat the supervisor in the pocket world. That they are wide
# enough was found with the truth of another seed; a team without any truth cannot know which width to believe. At best it can
# look whether the pluralities of several widths agree. A late student errs as narrow neighbourhoods do, so the
# two together say what there is to lose by training on. On film reviews one cannot tell whether the same width helps.
# A forecast that cannot be relied on in a second world is a reason to buy a hundred true answers.
#
# </details>
#
# ## Quiz

# %%
room.quiz("12")

# %% [markdown]
# ## What this does not show
#
# * The proof is about a student that gives a cell *one* distribution. A network gives each example its own; neighbours in
#   its features stand in for cells, and another distance would give others.
# * The predictions use labels and features alone, but which $k$ predicts well was chosen on another seed, with the truth.
# * To err on the same examples is not to err for the same reason.
#
# **Next:** your own question. A study of your own needs no change to the package: `docs/extending.md`. Notebook 00 shows your
# progress.
