# %% [markdown]
# # 07 · Choosing data
#
# **Question.** The supervisor is often wrong. Which of its labels should the student learn from?
#
# **At the end** you can draw the flow of data selection, score weak labels by six rules, keep the answers in balance,
# choose the right control, say why two sensible rules rank labels in opposite directions, tell when a vote of
# supervisors helps, and set the threshold of a cascade.
#
# *About a minute and a half of computing on a laptop the first time, seconds afterwards. No network, no GPU.*

# %%
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

import w2s_lab as w2s
from w2s_lab import classroom as room
from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.studies.study import column, select

store = w2s.Store()

# %% [markdown]
# ## The flow
#
# The usual pieces: a split, a weak supervisor, its labels of the student's reviews.

# %% tags=["nbval-ignore-output"]
splits = w2s.load_splits("sentiment", seed=0)
bench = w2s.Bench(splits, w2s.Plan(), store, seed=0)
labels, recipe = bench.labels, bench.plan.recipe
print(f"{len(labels):,} weak labels, {labels.label_accuracy:.1%} of them right")

# %% [markdown]
# **Data selection** (Xiao & Zhu 2025, arXiv 2501.09223, figure 4.5c) puts one step between supervisor and student. Each
# label gets a **score**, and only the labels with the highest scores are learnt. The score may look at the input, at
# the label and at the weak model. It may not look at the truth.
#
# The simplest score is the supervisor's confidence. Move the slider, and read the two boxes in the middle.

# %% tags=["nbval-ignore-output"]
sure = w2s.selection.confidence(labels)
room.selection_diagram(labels, sure, rule="confidence")

# %% [markdown]
# The lower row is part of the flow. To keep half of the labels changes two things: *which* labels, and *how many*. A
# random part of the same size changes only the second. The difference between the two students is what the choice is
# worth.
#
# ## Three scores by hand
#
# The supervisor has given each answer of the list a probability, for example:

# %% tags=["nbval-ignore-output"]
probs = labels.probs[1]
print(labels.examples[1].input, "->", labels.answers[1])
print("Pr(y|x)    ", dict(zip(labels.task.answers, probs.round(3).tolist(), strict=True)))
print(f"confidence  {probs.max():.3f}, the package says {sure[1]:.3f}")
print(f"margin      {probs.max() - probs.min():.3f}, the package says {w2s.selection.margin(labels)[1]:.3f}")
print(f"likelihood  {labels.log_prob[1]:.3f} nats, the package says {w2s.selection.likelihood(labels)[1]:.3f}")

# %% [markdown]
# **Confidence** is the label's probability among the listed answers, **margin** its lead over the next one (with two
# answers they rank alike). **Likelihood** is $\log \mathrm{Pr}^w(\hat y|x)$, the label's log-probability among all that
# the model could have said.
#
# ## The wrong way: whatever it is sure of
#
# Take the surest quarter. The diagram has told you how many of these labels are right.

# %%
likely = ["more often than its supervisor", "about as often as its supervisor", "about as often as a coin"]
room.predict(
    "07-quarter",
    "A student learns the surest quarter of the labels, in as many steps as a student of all "
    "labels takes. How often will it be right on new reviews?",
    likely,
)

# %% [markdown]
# Fewer labels must not mean less training. `lasting` gives the recipe as many epochs as it takes to make the same
# number of steps.

# %% tags=["nbval-ignore-output"]
steps, _ = recipe.steps(len(labels))
quarter = w2s.selection.keep(labels, sure, 0.25, by="confidence")
narrow = store.train(bench.strong, quarter, recipe.lasting(steps, len(quarter)), role="strong student")
result = w2s.score(store.labels(narrow, splits.test), bench.reference)
print(f"labels: {quarter.label_accuracy:.1%} right; test accuracy after {steps} steps: {result.accuracy:.3f}")
assert quarter.label_accuracy > labels.label_accuracy + 0.15 and result.accuracy < 0.6
gain = result.accuracy - bench.reference.label_accuracy
found = likely[2] if result.accuracy < 0.6 else likely[0] if gain > 0.05 else likely[1]
says = result.predictions.count("positive")
room.outcome("07-quarter", found, f"On {says:,} of {len(result):,} reviews it answers “positive”.")

# %% [markdown]
# Nearly all labels were right, and the student is useless. Look at *which* answers were kept:


# %% tags=["nbval-ignore-output"]
def share(part):
    """Fraction of a labelled set that says positive."""
    return part.answers.count("positive") / len(part)


fractions = [tenth / 10 for tenth in range(1, 11)]
by_rank = [share(w2s.selection.keep(labels, sure, f)) for f in fractions]
in_shares = [share(w2s.selection.keep(labels, sure, f, balanced=True)) for f in fractions]
lines = (
    Series(fractions, by_rank, "weak", "ranked all together"),
    Series(fractions, in_shares, "student", "balanced"),
)
truly = Mark(share(splits.student_train), "truth", across=True)
Chart("kept fraction of the weak labels", "fraction labelled positive", lines, (truly,), y_range=(0, 1.05)).show()
print(f"The surest tenth says positive in {by_rank[0]:.0%} of the cases, all labels in {by_rank[-1]:.0%}.")

# %% [markdown]
# The supervisor is surer of one answer than of the other, so a ranking of all labels together is first of all a ranking
# of answers. Selection has to be **balanced**: within each answer apart, so that the answers keep their shares.
#
# **Exercise · 12 minutes, hard.** Keep `fraction` of the labels of each answer, those with the highest scores.


# %%
def best_of_each(scores, answers, fraction):
    """scores: array [N]; answers: N strings; returns the row numbers that are kept, sorted."""
    ...  # your code here


# %%
room.check(best_of_each)

# %% [markdown]
# The package's own is `w2s.selection.keep(..., balanced=True)`, the flat line of the figure. Below, a student learns what
# *your* function keeps, once it is right. Your function and the package's keep the shares of the *labels*. If the supervisor
# gives one answer too often, so does the balanced half.
#
# ## Against the control
#
# Now the right way: the surest half, balanced, and beside it a random half. Both have as many labels and take as many steps.

# %%
verdicts = ["that of the surest half", "neither: less than 0.05 apart", "that of the random half"]
room.predict("07-control", "Which student will be right more often, in this one run?", verdicts)

# %% tags=["nbval-ignore-output"]
chance, choose = w2s.selection.random_scores(labels, seed=0), room.yours(best_of_each)
parts = {
    "all labels": labels,
    "random half": w2s.selection.keep(labels, chance, 0.5, by="chance"),
    "surest half, balanced": labels.take(choose(sure, list(labels.answers), 0.5)),
}
students = {
    name: store.train(bench.strong, part, recipe.lasting(steps, len(part)), role="strong student")
    for name, part in parts.items()
}

# %% tags=["nbval-ignore-output"]
tests = {name: w2s.score(store.labels(one, splits.test), bench.reference) for name, one in students.items()}
roles = {"all labels": "student", "random half": "random", "surest half, balanced": "student"}
bars = [Bar(name, one.accuracy, roles[name], *one.interval) for name, one in tests.items()]
BarChart("test accuracy (fraction), 95 % Wilson interval", tuple(bars), marks=(Mark(0.5, "a coin"),)).show()
for name, part in parts.items():
    print(f"{name:<22} {len(part):>5,} labels, {part.label_accuracy:.1%} right")

# %% tags=["nbval-ignore-output"]
gain = tests["surest half, balanced"].accuracy - tests["random half"].accuracy
assert tests["surest half, balanced"].accuracy > result.accuracy + 0.2  # balance mends it
found = verdicts[0] if gain >= 0.05 else verdicts[2] if gain <= -0.05 else verdicts[1]
room.outcome("07-control", found, f"The difference is {gain:+.3f}. But it is one run.")

# %% [markdown]
# What has the surest half kept, and what does its student make of what it has never seen?

# %% tags=["nbval-ignore-output"]
half, slices = parts["surest half, balanced"], tests["surest half, balanced"].by_slice()
taught = w2s.score(bench.reference).by_slice()
print("slice                kept of all   test accuracy: supervisor  student")
for tag, (right, _) in slices.items():
    kept, of = (sum(tag in example.tags for example in part.examples) for part in (half, labels))
    note = "  <- worse" if right < taught[tag][0] - 0.05 else ""
    print(f"{tag:<20} {kept:>4} of {of:>4}   {taught[tag][0]:>25.2f} {right:>8.2f}{note}")

# %% [markdown]
# Whole constructions are missing from what was kept: the supervisor doubts them. The student has met them in
# pre-training, and answers most of them all the same: that is elicitation, not teaching. But where a line says *worse*,
# the choice has cost something that the mean does not show.
#
# ## Eight runs
#
# A random half can be lucky. The study `methods`, which is shipped with the kit, has done this with eight seeds: other
# splits, other supervisors, other draws. Each rule is compared with a random half of the *same* seed. Two rules need another
# control: *high IFD* shifts the balance of the answers, and *two supervisors agree* keeps more than half of the labels. Each
# of them is compared with as many labels of each answer, drawn at random.

# %%
rows = room.measured("methods")["rows"]
rules = ["confident half", "confident half, balanced", "half with the widest margin", "likeliest half",
         "high IFD", "two supervisors agree", "small loss after an epoch"]  # fmt: skip
control = dict.fromkeys(rules, "random half")
control |= {"high IFD": "at random, balanced as high IFD", "two supervisors agree": "at random, as many as agree"}


def changes(accuracy):
    """What each rule changes against its control, paired by seed."""
    eight = {
        name: column(select(rows, grid="sentiment", method=name), accuracy) for name in (*rules, *control.values())
    }
    return [w2s.effects.paired_effect(name, eight[name], eight[control[name]]) for name in rules]


effects = changes("accuracy")
w2s.study_plots.effect_dots(effects, control_name="labels drawn at random", by_mean=True)
plt.show()
helping = [effect.name for effect in effects if effect.verdict == "helps"]
print(f"At the end of training, {len(helping)} of {len(effects)} rules help: {'; '.join(helping)}.")

# %% [markdown]
# So much for the end of training. Trusted examples can also stop each student in time (notebook 04b). What is then left of
# these gains?

# %%
stopped = changes("trusted_accuracy")
print(w2s.effects.effects_table(stopped))
assert sum(effect.mean for effect in stopped) < sum(effect.mean for effect in effects) / 2
assert not any(w2s.effects.holm(stopped))

# %% [markdown]
# At the end it helps to keep what the supervisor is sure of. Stopped in time, the student of a random half is nearly as
# good: less than half of the lead is left, and no gain survives Holm's correction. Labels on which a second supervisor
# agrees are right more often, but one cannot tell whether they teach more than as many labels drawn at random. **High IFD**,
# a rule that is often recommended, has the lowest mean both times; its intervals hold 0.
#
# ## Two sensible rules, opposite directions
#
# **Instruction-following difficulty** (IFD) compares the perplexity of the answer after its input with that of the answer
# alone:
#
# $$\mathrm{IFD}(\hat y|x) = \frac{\mathrm{PPL}(\hat y|x)}{\mathrm{PPL}(\hat y)},
# \qquad \mathrm{PPL} = \exp\Big(-\frac{1}{T}\sum_{t=1}^{T} \log \mathrm{Pr}^w(\hat y_t|\cdot)\Big)$$
#
# Below 1, the input makes the answer likelier. From 1 on it does not, and input and answer are taken for a mismatch.
# *Superfiltering* (Li et al. 2024, arXiv 2402.00530) computes IFD with a weak model and keeps the **highest** values below
# 1: what is hard.
#
# **By hand.** An answer of two tokens has the log-probability −0.4 after its input, and −1.6 alone:

# %%
math.exp(0.4 / 2) / math.exp(1.6 / 2)

# %% [markdown]
# **Exercise · 6 minutes, medium.** Write it for many answers at once.


# %%
def instruction_difficulty(with_input, alone, tokens):
    """Arrays [N]: log Pr(y|x) and log Pr(y) in nats per answer, tokens per answer; returns IFD [N]."""
    ...  # your code here


# %%
room.check(instruction_difficulty)

# %%
ways = ["much the same order", "no relation", "the opposite order"]
room.predict("07-ranks", "Among labels with the same answer: how do IFD and likelihood rank them?", ways)

# %% tags=["nbval-ignore-output"]
weak, difficulty_of = bench.supervisor(), room.yours(instruction_difficulty)
(empty,), _ = weak.encode_prompts([w2s.Example("", "")], weak.window)  # nothing before "Answer:"
ids = weak.encode_answers(labels.task.answers)
alone = weak.log_prob([empty] * len(ids), ids).tolist()
likelihood, said = w2s.selection.likelihood(labels), np.array([labels.task.answers.index(a) for a in labels.answers])
difficulty = difficulty_of(likelihood, np.array(alone)[said], np.array([len(tokens) for tokens in ids])[said])
said = np.array(labels.answers)
ranks = {a: [x[said == a].argsort().argsort() for x in (likelihood, difficulty)] for a in labels.task.answers}
correlation = {a: float(np.corrcoef(*both)[0, 1]) for a, both in ranks.items()}
print("rank correlation of likelihood and IFD:", {a: round(value, 3) for a, value in correlation.items()})

# %% tags=["nbval-ignore-output"]
looks = dict(zip(labels.task.answers, w2s.study_plots.SERIES, strict=False))
dots = [Series(likelihood[said == a], difficulty[said == a], look, a, line=False) for a, look in looks.items()]
one = Mark(1.0, across=True)
Chart("likelihood log Pr(ŷ|x), in nats", "IFD", tuple(dots), (one,), y_range=None).show()
print(f"{(difficulty >= 1).mean():.0%} of the labels lie on the dotted line or above; Superfiltering drops these.")
worst = max(correlation.values())
assert worst < -0.99
found = ways[2] if worst < -0.5 else ways[0] if worst > 0.5 else ways[1]
room.outcome("07-ranks", found, "PPL(ŷ) is the same for all of them, so only PPL(ŷ|x) counts.")

# %% [markdown]
# Neither rule is wrong. They answer different questions. Superfiltering filters data whose answers come from a *better*
# source than the filter: most are right, and what is hard is worth learning. Here the labels come from the filter
# itself: what is hard for it, it has often got wrong. And the two clouds lie apart, since without an input the two answers
# are not equally likely: IFD over all labels ranks answers, too.
#
# ## Two more opinions
#
# A rule can ask another model. It may ask a **second supervisor**, which saw the examples in another order: do the two agree?
# Or it may ask the **student itself**, after one epoch: which labels have a small loss? A network learns what is regular
# before it learns errors by heart (Han et al. 2018, arXiv 1804.06872; their co-teaching has two networks, which choose for
# each other).

# %% tags=["nbval-ignore-output"]
second = store.labels(bench.supervisor(seed=1000), splits.student_train)
young = store.train(bench.strong, labels, replace(recipe, epochs=1), role="student after one epoch")
scores = {
    "confidence": sure,
    "likelihood": likelihood,
    "IFD, highest below 1": w2s.selection.superfilter(difficulty),
    "two supervisors agree": w2s.selection.agreement(labels, second),
    "small loss for the student": w2s.selection.answer_log_prob(young, labels),
    "chance": chance,
}
print(f"{'the best half by':<28} right   balanced: right")
for name, values in scores.items():
    plain, even = (w2s.selection.keep(labels, values, 0.5, balanced=b).label_accuracy for b in (False, True))
    print(f"{name:<28} {plain:.3f}             {even:.3f}")

# %% [markdown]
# ## Explore
#
# Each move fits a small student anew: a linear probe on the strong model's frozen features, in milliseconds. The band
# holds probes of random parts of the same size.
#
# 1. Go left with *confidence*. Where does the probe fall below the band, and which bar below explains it?
# 2. Set *Answers* to *in their shares*, and go left again.
# 3. Which kinds of review are missing among the surest half? Do they come back with *IFD*?
# 4. Find the rule and the fraction with the best probe. Would you have known without the test set?
# 5. *Real English*: film reviews that people wrote, labelled by a bag of words; the probe reads SmolLM2's features.
#    Are the labels that it is sure of right more often here, too? (`docs/real_english.md` says how to fetch reviews and model.)

# %% tags=["nbval-ignore-output"]
pool = labels.take(range(1000))
features, test_features = (w2s.probe.features(bench.strong, part) for part in (pool, splits.test))
some = {name: values[:1000] for name, values in scores.items() if name != "chance"}
explorer = room.selection_explorer(pool, some, features, splits.test, test_features)
real = room.real_english(store)  # reads nothing before it is asked for
room.worlds(
    explorer.sweep().set(kept=0.2),
    lambda: room.selection_explorer(real.labels, None, real.features[0], real.test, real.features[1], C=real.C),
)

# %% [markdown]
# ## Ask several supervisors
#
# An **ensemble** (figure 4.5d) does not choose among labels: it is meant to make better ones. Three supervisors vote. Each
# learnt the same examples, in another order. If they erred independently, how often would the majority be right?
#
# **Exercise · 10 minutes, medium.** Compute the probability that more than half of the voters are right.


# %%
def vote_accuracy(p, voters):
    """Accuracy of the majority of an odd number of voters, each right with probability p, independent of the rest."""
    ...  # your code here


# %%
room.check(vote_accuracy)

# %% tags=["nbval-ignore-output"]
third = store.labels(bench.supervisor(seed=2000), splits.student_train)
sets = [labels, second, third]
alone = [one.label_accuracy for one in sets]
odds = room.yours(vote_accuracy)
expected = odds(np.mean(alone), 3)
print(f"right alone: {', '.join(f'{a:.3f}' for a in alone)}; a vote of independent errors: {expected:.3f}")

# %%
hopes = [
    "nearly as good as independent errors would make it",
    "hardly better than one supervisor",
    "worse than one supervisor",
]
room.predict("07-vote", "How good will the real vote of these three supervisors be?", hopes)

# %% [markdown]
# **Exercise · 6 minutes, easy.** Now write the vote itself.


# %%
def majority_vote(answers):
    """answers: a list of N strings from each of M supervisors, M odd; returns the N winners."""
    ...  # your code here


# %%
room.check(majority_vote)

# %% tags=["nbval-ignore-output"]
elect = room.yours(majority_vote)
voted = w2s.metrics.accuracy(elect([list(one.answers) for one in sets]), splits.student_train.answers)
gain = voted - float(np.mean(alone))
assert voted < expected - 0.03
found = hopes[0] if gain > 0.7 * (expected - np.mean(alone)) else hopes[2] if gain < -0.005 else hopes[1]
room.outcome("07-vote", found, f"It is right in {voted:.3f} of the cases: the supervisors share their errors.")

# %% tags=["nbval-ignore-output"]
truth = np.array(splits.student_train.answers)
wrong = np.array([np.array(one.answers) != truth for one in sets])
print(f"all three wrong     {wrong.all(0).mean():.3f} of the reviews")
print(f"independent errors  {wrong.mean(1).prod():.3f}")
watched = [bench.labels_of(bench.supervisor(seed=seed))[1] for seed in (0, 1000, 2000)]
stacked = w2s.ensembles.stack(sets, [bench.trusted(one) for one in watched])
print(f"stacking, fitted on {len(splits.validation)} trusted examples: {stacked.label_accuracy:.3f} right")

# %% [markdown]
# They learnt from the same examples, with the same pre-training, so they fail on the same constructions. A vote cannot
# mend what nobody knows, nor can **stacking** (a regression on what all of them say, fitted on a little truth; Wolpert
# 1992). The study compares students of such labels with the student of one supervisor, over eight seeds, at the end and where
# trusted examples stop them:

# %%
found = {name: select(rows, grid="sentiment", method=name) for name in (
    "plain weak labels", "vote of 3 (order)", "average of 3 (thirds of the truth)", "stacking (xs, s, m)")}  # fmt: skip
control = found.pop("plain weak labels")
for accuracy in ("accuracy", "trusted_accuracy"):
    for name, student in found.items():
        effect = w2s.effects.paired_effect(name, column(student, accuracy), column(control, accuracy))
        print(f"{accuracy:<18} {name:<36} {w2s.effects.difference(effect)}  {effect.verdict}")
right = np.mean(column(found["stacking (xs, s, m)"], "label_accuracy"))
assert right > 0.99

# %% [markdown]
# Equally weak members add little: about two hundredths, or nothing that one can tell. *Stacking* has supervisors of three
# sizes, and one of them, pocket-m, is nearly always right. So its line shows that trusted examples find the member to
# believe, and not that an ensemble helps.
#
# ## Ask the strong model only where it matters
#
# So far the student replaces its supervisor. In a **cascade** (figure 4.5e; Chen et al. 2023, arXiv 2305.05176) both
# stay: the weak model answers every item, and where its confidence is below a threshold, the strong one is asked.
#
# **Exercise · 5 minutes, easy.** Compute what that costs.


# %%
def cascade_cost(confidences, threshold, weak_cost, strong_cost):
    """confidences: array [N] of the weak model; costs are per item; returns (fraction asked, mean cost per item)."""
    ...  # your code here


# %%
room.check(cascade_cost)

# %%
needs = ["at most half of the items", "about three quarters", "nearly all of them"]
room.predict(
    "07-cascade",
    "How often must the strong student be asked, so that the cascade is about as good as the student alone?",
    needs,
)

# %% [markdown]
# The threshold is a parameter like any other: it is fitted on trusted examples that nobody has learnt from, and judged
# on the test set. The strong model is the student of the surest half.

# %% tags=["nbval-ignore-output"]
strong = students["surest half, balanced"]
answers, checked = store.labels(strong, splits.test), store.labels(strong, splits.validation)
threshold = w2s.cascade.fit_threshold(bench.trusted(bench.watched), checked, tolerance=0.01)
mixed, asked = w2s.cascade.cascade(bench.reference, answers, threshold)
print(f"threshold {threshold:.3f}: {asked / len(mixed):.0%} asked, accuracy {mixed.label_accuracy:.3f}")
print(f"alone: weak {bench.reference.label_accuracy:.3f}, strong {answers.label_accuracy:.3f}")
assert mixed.label_accuracy > answers.label_accuracy - 0.03 and asked < 0.65 * len(mixed)
found = needs[0] if asked <= 0.55 * len(mixed) else needs[1] if asked < 0.85 * len(mixed) else needs[2]
room.outcome("07-cascade", found, "Where the supervisor is sure, it is nearly always right.")

# %% [markdown]
# Move the threshold. When is the cascade dearer than the strong model alone? How far is the fitted threshold from the
# best one, which only the test set knows? Is the mean of three supervisors worth its price?

# %% tags=["nbval-ignore-output"]
costs = [w2s.cascade.flops_per_item(model, splits.test) for model in (weak, strong)]
price, confidences = room.yours(cascade_cost), bench.reference.probs.max(-1)
for at in (0.0, threshold, 1.01):
    share, paid = price(confidences, at, *costs)
    print(f"threshold {at:.2f}: {share:.0%} asked, {paid / costs[1]:.2f} times the price of the strong model alone")
mean = w2s.ensembles.average(watched)
cutoff = w2s.cascade.fit_threshold(bench.trusted(mean), checked, tolerance=0.01)
sides = {
    "one supervisor": (bench.reference, costs[0], threshold),
    "mean of three": (mean.take(range(len(splits.test))), 3 * costs[0], cutoff),
}
room.cascade_explorer(sides, answers, costs[1])

# %% [markdown]
# ## An open task
#
# **Open task · 15 minutes, medium.** Choose a rule of selection for a team whose supervisor is like this one, and say what may be
# claimed for it: at the end, and where trusted examples stop the student. Add one case in which you would not use the rule. The
# check lists the cases that it knows.


# %%
def my_selection():
    """{"rule": ..., "control": ..., "at the end": ..., "at the trusted snapshot": ..., "wrong for": ...}

    Rule and control are named as in *Eight runs*. Claims are "helps", "hurts" or "cannot tell", no firmer than Holm's
    correction over all rules leaves them.
    """
    ...  # your code here


room.check(my_selection)

# %% [markdown]
# <details><summary>A sample discussion. Unfold it when your answer is accepted.</summary>
#
# Several rules help at the end. Once students stop in time, two intervals still lie above 0, and neither survives Holm's
# correction. One may still prefer a selected half: it costs nothing, and forgives a training that goes on too long. One may as
# well keep all labels and stop.
#
# Both answers depend on how the supervisor errs. Confidence ranks well here because this supervisor doubts what it does
# not know. A rule that was good in one world is a guess in another, and has to be tested there against a random part of the
# same size.
#
# </details>
#
# ## Quiz

# %%
room.quiz("07")

# %% [markdown]
# ## What this does not show
#
# The supervisor of this world doubts what it does not know. A model that is sure of its errors would put them at the top of
# every ranking by its own confidence. On the helpdesk task, where the supervisor does not know a whole rule, one cannot tell
# whether its confident half helps (`data/results/methods-tasks.png`). Selection also throws away what is hard. Here
# pre-training made up for it. Where fine-tuning has to teach something, it would be missing.
#
# **Next:** [08 · The flywheel](08_the_flywheel.ipynb): the models make the inputs, too.
