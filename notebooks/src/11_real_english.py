# %% [markdown]
# # 11 · Real English
#
# **Question.** Does a real language model surpass its supervisor on sentences that people wrote?
#
# **At the end** you can
#
# * say what a simple supervisor goes by, word by word, and where that must go wrong;
# * read a language model's states with a probe, and choose layer and regularisation without the test set;
# * tell apart what a student owes to its labels and what to its pre-training, with a control;
# * fine-tune a real language model, watch it, and stop it;
# * sort a supervisor's errors by kind, and say which kinds the student corrects.
#
# *About 3 minutes of computing on a laptop. The first time, add about 2 minutes in which the model reads the sentences.
# The fine-tuning starts only if you press Start: about 2 minutes and 5 GB of memory. After the download, no network.*

# %% tags=["nbval-ignore-output"]
import math
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import binomtest
from sklearn.feature_extraction.text import CountVectorizer

import w2s_lab as w2s
from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.error_sorter import CONTRASTS, FAULTS, KINDS, NEGATIONS, words_of
from w2s_lab.classroom.toolkit.chart import Bar, BarChart, Chart, Mark, Series
from w2s_lab.methods.labellers import labeller, labels_by
from w2s_lab.studies import real_probe, real_tuning
from w2s_lab.studies.study import column, mean_of, select

store, stage = w2s.Store(), room.stage()
print(stage.says)

# %% [markdown]
# ## The sentences
#
# Until now the reviews were made by a grammar, and the models were pre-trained on that grammar's world. Here the
# sentences come from film reviews, and about twenty people rated each from −4 to 4 (Hutto & Gilbert 2014). The sign of
# their mean is the truth.

# %% tags=["nbval-ignore-output"]
sizes = w2s.SplitSizes(supervisor_train=1500, student_train=1000, test=600, validation=100)
splits = w2s.load_splits(stage.task, seed=0, sizes=sizes)
for name in ("supervisor_train", "student_train", "test", "validation"):
    part = getattr(splits, name)
    print(f"{name:<17} {len(part):>5,} sentences, {np.mean([a == 'positive' for a in part.answers]):.0%} positive")

# %% tags=["nbval-ignore-output", "shows-texts"]
for example in splits.student_train.examples[:6]:
    print(f"{example.answer:<9} {example.input}")

# %% [markdown]
# The cell above puts out sentences of the data set. They are not part of this kit, so a stored notebook leaves them
# out. Run the cell to read them.
#
# ## The supervisor
#
# It is no language model at all: a **bag of words** with naive Bayes. It has seen 1,500 sentences with their true
# answers.

# %% tags=["nbval-ignore-output"]
supervisor = labeller(stage.supervisor, splits.supervisor_train)
labels, reference = labels_by(supervisor, splits.student_train), labels_by(supervisor, splits.test)
print(f"right: {labels.label_accuracy:.1%} of the student's sentences, {reference.label_accuracy:.1%} of the test's")

# %% [markdown]
# What does it go by? It counts how often each word occurs in positive and in negative sentences. Word $j$ of a
# vocabulary of $V$ gets the weight
#
# $$w_j = \log \frac{n^+_j + 1}{N^+ + V} - \log \frac{n^-_j + 1}{N^- + V}$$
#
# where $n^+_j$ counts the word in positive sentences and $N^+$ counts all words there. To label a sentence, it adds the
# weights of its words, and adds once the logarithm of how much more frequent positive sentences are than negative ones.
# Above 0, it says *positive*.
#
# **By hand.** A word occurs 8 times among 1,000 words of positive sentences, and twice among 1,000 of negative ones.
# The vocabulary has 500 words:

# %%
round(math.log((8 + 1) / (1000 + 500)) - math.log((2 + 1) / (1000 + 500)), 3)

# %% [markdown]
# **Exercise · 8 minutes, medium.** Compute the weights of all words at once.


# %%
def word_weights(positive, negative):
    """Two arrays [V] of counts in; an array [V] of weights out, above 0 for words of positive sentences."""
    ...  # your code here


# %%
room.check(word_weights)

# %% [markdown]
# From here on the notebook works with your function, if it is right.

# %% tags=["nbval-ignore-output"]
weigh = room.yours(word_weights)
bag = CountVectorizer()
table = bag.fit_transform([example.input for example in splits.supervisor_train.examples])
true = np.array(splits.supervisor_train.answers)
counts = {answer: np.asarray(table[true == answer].sum(0)).ravel() for answer in ("positive", "negative")}
weights = weigh(counts["positive"], counts["negative"])

# %% tags=["nbval-ignore-output"]
words, often = bag.get_feature_names_out(), counts["positive"] + counts["negative"] >= 20
ranked = [i for i in np.argsort(weights) if often[i]]
bars = [Bar(words[i], float(weights[i]), "weak", note=f"in {table[:, i].count_nonzero()} sentences")
        for i in (*ranked[-7:][::-1], *ranked[:7][::-1])]  # fmt: skip
BarChart("weight of a word that occurs 20 times or more", tuple(bars), x_range=(-3, 3)).show()
negation = bag.vocabulary_.get("not")
print("The weight of 'not':", "never seen" if negation is None else f"{weights[negation]:+.2f}")

# %% [markdown]
# These weights are nearly the whole supervisor. Order plays no part: *not* is a word among others, and changes nothing about
# the word after it. Add up the weights of every test sentence, and you have the supervisor's answers:

# %% tags=["nbval-ignore-output"]
prior = math.log(np.mean(true == "positive") / np.mean(true == "negative"))
score = bag.transform([example.input for example in splits.test.examples]) @ weights + prior
same = np.mean((score > 0) == (np.array(reference.answers) == "positive"))
print(f"the sum of the weights gives the supervisor's answer for {same:.1%} of the test sentences")
assert same > 0.999

# %% [markdown]
# One of its errors, on a sentence with a negation, word by word:

# %% tags=["nbval-ignore-output", "shows-texts"]
wrong = [i for i, e in enumerate(splits.test.examples) if reference.answers[i] != e.answer]
one = next(i for i in wrong if NEGATIONS & set(words_of(splits.test.examples[i].input)))
print(f"truth {splits.test.examples[one].answer}, supervisor {reference.answers[one]}, sum {score[one]:+.2f}")
for word in bag.build_analyzer()(splits.test.examples[one].input):
    print(f"  {word:<16} {weights[bag.vocabulary_[word]]:+.2f}" if word in bag.vocabulary_ else f"  {word:<16} new")

# %% [markdown]
# ## The strong model, before any training
#
# It was pre-trained on far more text than a person can read. Can it not simply be asked?

# %%
room.predict(
    "11-asked",
    "The strong model is asked the question as it stands, without any training. What does it answer?",
    ["mostly the truth", "both answers, but hardly better than a coin", "nearly always the same answer"],
)

# %% tags=["nbval-ignore-output"]
strong = w2s.load_model(stage.model)
watch = splits.test.take(range(100))
asked = w2s.score(store.labels(strong, watch))
commonest = max(asked.predictions.count(answer) for answer in watch.task.answers) / len(watch)
print(f"accuracy {asked.accuracy:.2f} on {len(watch)} test sentences; its commonest answer: {commonest:.0%} of them")
ways = ["mostly the truth", "both answers, but hardly better than a coin", "nearly always the same answer"]
found = ways[2] if commonest > 0.9 else ways[0] if asked.accuracy > 0.65 else ways[1]
room.outcome("11-asked", found, "What it knows and what it says when it is asked are two things.")

# %% [markdown]
# ## Reading its states
#
# A network is a stack of blocks. After each block, every token has a **state**: a list of numbers. The mean over the
# tokens of a sentence is a vector, and a **linear probe** on such vectors is our student: a logistic regression. The
# language model itself stays as it is. The next cell takes minutes the first time; the store keeps what it computes.


# %% tags=["nbval-ignore-output"]
def read(inputs, on_rows=None):
    """Layer -> features [N, d]."""
    table = store.features_of_layers(strong, inputs, stage.layers, on_rows=on_rows)
    return dict(zip(stage.layers, table.swapaxes(0, 1), strict=True))


train, test, trusted = (read(part) for part in (splits.student_train, splits.test, splits.validation))
print("layers", *stage.layers, "· features of one layer:", *train[stage.layers[0]].shape)

# %% [markdown]
# Two dials have to be set: which layer, and how closely the probe may fit its labels (`C`; a small one holds it back).
# The test set must not set them. So each setting is tried on labels that the probe was not fitted on
# (cross-validation), and they are *weak* labels, since there are no others.
#
# **By hand.** Among equals we take the lower layer, then the smaller C. From
# `{(9, 0.001): 0.71, (15, 0.01): 0.74, (15, 0.001): 0.74}` we take `(15, 0.001)`.
#
# **Exercise · 6 minutes, medium.** Choose.


# %%
def best_setting(scores):
    """A dictionary (layer, C) -> fraction in; the pair (layer, C) with the best fraction out."""
    ...  # your code here


# %%
room.check(best_setting)

# %% tags=["nbval-ignore-output"]
choose = room.yours(best_setting)
held = w2s.probe.choose(train, labels, Cs=(1e-4, 1e-3, 1e-2)).scores
layer, C = choose(held)
checked = w2s.probe.choose(train, labels, Cs=(1e-4, 1e-3, 1e-2), trusted=(trusted, splits.validation)).scores
print(f"held-out weak labels choose layer {layer}, C = {C:g}; 100 trusted sentences would choose", choose(checked))

# %%
verdicts = ["it stays below its supervisor", "level with it: less than 0.02 apart", "it surpasses its supervisor"]
room.predict("11-probe", "A probe learns the weak labels with this setting. How does it do on the test set?", verdicts)

# %% tags=["nbval-ignore-output"]
fitted = {name: w2s.probe.fit_probe(train[layer], given, C=C)
          for name, given in (("student", labels), ("ceiling", splits.student_train))}  # fmt: skip
said = {name: w2s.probe.predict(one, test[layer], splits.test) for name, one in fitted.items()}
student, ceiling = (w2s.score(said[name], reference) for name in ("student", "ceiling"))
result = w2s.Comparison(w2s.score(reference, reference), student, ceiling)
w2s.plots.accuracy_bars(result)
plt.show()
print(w2s.plots.pgr_text(result))
gained = result.student.accuracy - result.weak.accuracy
found = verdicts[2] if gained >= 0.02 else verdicts[0] if gained <= -0.02 else verdicts[1]
room.outcome("11-probe", found, f"The difference is {gained:+.3f}. But it is one run: the study below has many.")

# %% [markdown]
# ## As many errors, elsewhere
#
# The control of notebook 04: the truth with as many errors as the weak labels have, at random places.

# %%
sides = ["better than that of weak labels", "no clear difference: less than 0.02", "worse"]
room.predict("11-random", "A probe with the same setting learns these labels. On the test set, it is", sides)

# %% tags=["nbval-ignore-output"]
random = w2s.random_errors(splits.student_train, labels.label_accuracy, seed=0)
control = w2s.probe.predict(w2s.probe.fit_probe(train[layer], random, C=C), test[layer], splits.test)
apart = control.label_accuracy - result.student.accuracy
found = sides[0] if apart >= 0.02 else sides[2] if apart <= -0.02 else sides[1]
room.outcome("11-random", found, f"Here the difference is {apart:+.3f}. Would it be so with another C?")

# %% [markdown]
# Whatever came out: why? The sliders are there to find out. Every move fits probes along the whole range of C.
#
# 1. Go right with *C*. Which falls faster, the student of weak labels or that of random errors? The last row of the
#    table says how many wrong labels each has learnt by heart.
# 2. Give the supervisor fewer true labels. Does its student stay above it?
# 3. Read an early layer, then a late one. What changes more, the student or the ceiling?
# 4. Leave out the instruction: the model then reads the bare sentences, in about a minute the first time. Does it
#    matter?
#
# Do not believe small differences: on 600 sentences an accuracy of 0.8 has a standard error of 0.016.


# %% tags=["nbval-ignore-output"]
def unasked(on_rows):
    """Layer -> features of the same sentences without the instruction before them; read when you choose it."""
    found = []
    for part in (splits.student_train, splits.test):
        rows = [replace(example, instruction="") for example in part.examples]
        found.append(read(w2s.LabelledSet.ground_truth(part.task, rows), on_rows))
    return {k: (found[0][k], found[1][k]) for k in stage.layers}


states = {"before each sentence": {k: (train[k], test[k]) for k in stage.layers}, "left out": unasked}
amounts = {}
for n in (100, 200, 400, 800, 1500):
    taught = labeller(f"bag-of-words:{n}", splits.supervisor_train)
    amounts[n] = labels_by(taught, splits.student_train), labels_by(taught, splits.test)
room.probe_explorer(states, amounts, layer=layer)

# %% [markdown]
# ## Over many seeds
#
# The study `real-probe` did this with other splits and other supervisors, with every third layer, and with more labels.
# Its results are shipped with the kit:

# %%
study = room.measured("real-probe")
arms = [row for row in study["rows"] if row["question"] == "arms" and row["choice"] == "held-out labels"]
print("\n".join(real_probe.table_of_groups(arms, "arm", real_probe.ARMS, ("weak", "accuracy", "ceiling"))))
plain = select(arms, arm="weak labels")
gain = w2s.effects.paired_effect("student", column(plain, "accuracy"), column(plain, "weak"))
print(f"student minus supervisor: {w2s.effects.difference(gain)}, {gain.n} seeds")

# %%
values = {arm.replace(" ", "\n"): column(select(arms, arm=arm), "pgr") for arm in real_probe.ARMS}
w2s.plots.pgr_dots(values, roles={"random\nerrors": "random"})
plt.show()
pair = [column(select(arms, arm=arm), "accuracy") for arm in ("random errors", "weak labels")]
effect = w2s.effects.paired_effect("random errors", *pair)
print(f"random errors minus weak labels, accuracy: {w2s.effects.difference(effect)}; verdict: {effect.verdict}")

# %%
middle, lines = study["layers"][len(study["layers"]) // 2], []
for arm, role in (("truth", "ceiling"), ("random errors", "random"), ("weak labels", "student")):
    rows = [select(study["rows"], question="grid", arm=arm, layer=middle, C=c) for c in w2s.probe.STRENGTHS]
    lines.append(Series(w2s.probe.STRENGTHS, [mean_of(own, "accuracy")["mean"] for own in rows], role, arm))
label, ends = f"accuracy, layer {middle}, mean over seeds", (8e-5, 0.125)
Chart("C", label, tuple(lines), x_range=ends, y_range=(0.5, 0.9), log_x=True).show()
print("drop from the best C to the largest:", {one.name: round(max(one.y) - one.y[-1], 3) for one in lines})

# %% [markdown]
# The figure above looks at the test set for every C; it explains, and it chooses nothing.
#
# ## One fine-tuning
#
# A probe can only use what lies open in the states. Fine-tuning changes the states themselves, and all weights
# of the model.

# %%
parts = ["a smaller part", "about the same part: less than 0.1 apart", "a larger part"]
room.predict("11-tuned", "Fine-tuned instead of probed, which part of its gap does a student recover?", parts)

# %% [markdown]
# Press **Start**: 240 weak labels, once, in batches of 8. A step takes seconds. **Stop** ends it at any time. Then
# choose *truth*, and start again: that is its ceiling.

# %% tags=["nbval-ignore-output"]
few = range(240)
recipe = w2s.Recipe(epochs=1, batch_size=8, learning_rate=5e-5, eval_every=6)
teacher = reference.take(range(100))
room.live_training(
    strong,
    {"weak labels": labels.take(few), "random errors": random.take(few), "truth": splits.student_train.take(few)},
    recipe,
    watch=watch,
    reference=teacher,
    weak=teacher.label_accuracy,
)

# %% [markdown]
# The study `real-tuning` did it with 480 labels and over several seeds. It took hours, so it is shipped, too:

# %%
tuned = [row for row in room.measured("real-tuning")["rows"] if row["question"] == "students"]
lines = []
for arm, role in (("truth", "ceiling"), ("random errors", "random"), ("weak labels", "student")):
    curves = np.array([row["curve"] for row in tuned if row["arm"] == arm and row["epochs"] == 1], dtype=float)
    lines.append(Series(curves[0, :, 0].tolist(), curves[:, :, 1].mean(0).tolist(), role, arm))
weak = mean_of(select(tuned, arm="weak labels"), "weak")["mean"]
Chart("examples seen", "accuracy, mean over seeds", tuple(lines),
      (Mark(weak, "weak supervisor", True, "weak"),),
      y_range=(0.4, 1)).show()  # fmt: skip
print("\n".join(real_probe.table_of_groups(tuned, "arm", real_tuning.ARMS, ("weak", "accuracy", "ceiling"))))
recovered = [mean_of(select(rows, arm="weak labels"), "pgr")["mean"] for rows in (arms, tuned)]
found = parts[2] if recovered[1] - recovered[0] >= 0.1 else parts[0] if recovered[0] - recovered[1] >= 0.1 else parts[1]
room.outcome("11-tuned", found, f"Mean PGR {recovered[0]:.2f} with probes, {recovered[1]:.2f} fine-tuned.")

# %% [markdown]
# The two studies also differ in the number of labels and in the ceiling. So this compares two ways of working, and does not
# name one cause.
#
# ## What kind of sentence?
#
# What kind of sentence does the supervisor get wrong? A rule can make a first guess from the words: a **negation**; a
# **double negation**, that is two of them, or one beside a word for a fault (*not bad*); **mixed**, with a *but* or a
# *though* and no negation; or **other**. For **irony** there is no rule: nothing in the words shows it. That one needs
# a reader.
#
# **Exercise · 10 minutes, medium.** Write the rule for a list of sentences, each a list of words in small letters.


# %%
def sentence_kinds(sentences, negations, faults, contrasts):
    """Lists of words, and three sets of words, in; a list of "negation", "double negation", "mixed", "other" out."""
    ...  # your code here


# %%
room.check(sentence_kinds)

# %% tags=["nbval-ignore-output"]
sort = room.yours(sentence_kinds)
kinds = sort([words_of(example.input) for example in splits.test.examples], NEGATIONS, FAULTS, CONTRASTS)
print(f"{'kind':<17} sentences   the supervisor is right")
for kind in (kind for kind in KINDS if kind in kinds):
    right = result.weak.correct[[one == kind for one in kinds]]
    print(f"{kind:<17} {len(right):>9}   {right.mean():.2f}")

# %% [markdown]
# ## Which errors does the student correct?

# %%
names = ["negation", "double negation", "mixed", "other"]
room.predict("11-kinds", "Of which kind of the supervisor's errors does the student correct the largest part?", names)

# %% [markdown]
# **By hand.** The supervisor errs on four negations and on two mixed sentences. The student is right on three of the
# four, and on none of the two: `{"negation": (3, 4), "mixed": (0, 2)}`.
#
# **Exercise · 8 minutes, medium.** Count it, for the kinds in which the supervisor errs at all.


# %%
def corrected_by_kind(kinds, weak, student, truth):
    """Four lists of N in; {kind: (errors that the student corrects, errors of the supervisor)} out."""
    ...  # your code here


# %%
room.check(corrected_by_kind)

# %% tags=["nbval-ignore-output"]
count = room.yours(corrected_by_kind)
answers = [list(one.answers) for one in (reference, said["student"], splits.test)]
mended = count(kinds, *answers)
bars = [Bar(kind, mended[kind][0] / mended[kind][1], "student", note=f"of {mended[kind][1]} errors")
        for kind in names if kind in mended]  # fmt: skip
BarChart("fraction of the supervisor's errors that the student corrects", tuple(bars)).show()
best = max((kind for kind in mended if mended[kind][1] >= 10), key=lambda kind: mended[kind][0] / mended[kind][1])
room.outcome("11-kinds", best, "Of kinds with ten errors or more. A coin would correct half of every kind.")

# %% [markdown]
# A student that answers at random corrects half of the errors, and spoils half of the right answers. So corrections count
# only beside their price. The last column says how often a coin, thrown for every sentence on which the
# two differ, would part them at least as unevenly:

# %% tags=["nbval-ignore-output"]
right, own = (np.array(one) == np.array(answers[2]) for one in answers[:2])
print(f"{'kind':<17} corrected   spoilt   won   p")
for kind in [*names, "all"]:
    rows = np.array([kind in (one, "all") for one in kinds])
    corrected, spoilt = int((rows & ~right & own).sum()), int((rows & right & ~own).sum())
    luck = binomtest(corrected, max(1, corrected + spoilt)).pvalue
    print(f"{kind:<17} {corrected:>9} {spoilt:>8} {corrected - spoilt:>+5}   {luck:.2f}")

# %% tags=["nbval-ignore-output", "shows-texts"]
for words_first, rows in (("corrected", ~right & own), ("repeated", ~right & ~own), ("spoilt", right & ~own)):
    print(f"{words_first}:")
    for i in np.flatnonzero(rows)[:4]:
        print(f"  {splits.test.answers[i]:<9} {splits.test.examples[i].input}")

# %% [markdown]
# ## Read them
#
# The rule sees words. You see sentences. Give each error a kind; only then do you see what the student answers. Your bars
# stand above those of the rule. Where do you and the rule part? How many did you call irony?

# %% tags=["nbval-ignore-output"]
room.error_sorter(reference, said["student"], kinds)

# %% [markdown]
# ## An open task
#
# **Open task · 20 minutes, hard.** Make one claim about real English from the shipped studies, as you would put it into a report: an arm
# against its supervisor, or against another arm, with its interval, its seeds, its verdict and its limits.


# %%
def my_claim():
    """{"study": …, "arm": …, "against": …, "mean": d, "low": d, "high": d, "seeds": n, "verdict": …, "limits": […]}

    study: "real-probe" or "real-tuning"; against: "supervisor", or another arm; limits: the check lists those it knows.
    """
    ...  # your code here


room.check(my_claim)

# %% [markdown]
# <details><summary>A sample discussion. Unfold it when your answer is accepted.</summary>
#
# "In five seeds, SmolLM2 that was fine-tuned once on 480 labels of a bag of words is right more often than the bag of words;
# the difference has this interval. One small model, one kind of supervisor, and sentences that it may have read." That is
# a sentence which stays true.
#
# What would make it false: "weak supervision works for real language". Another claim passes the criteria just as well: that
# one cannot tell two arms apart. It is not weaker, it is the result.
#
# </details>
#
# ## Quiz

# %%
room.quiz("11")

# %% [markdown]
# ## What this does not show
#
# * **The model may have seen these sentences**, perhaps with a verdict beside them. The reviews were public long before it
#   was trained. With new text, the truth may lie less near at hand.
# * **Two data sets may be one.** Most sentences of SST-2, the usual benchmark, are among these very film reviews. A
#   result on both is not confirmed twice.
# * One small model, one kind of supervisor. A bag of words errs otherwise than a small language model does.
# * A sorting by words is coarse, and a kind with few errors says little. Two readers will not sort alike.
# * The truth is a mean of ratings. Some of the supervisor's errors are sentences on which people differ.
#
# The methods of notebooks 04 to 08 are one line each in a bench, also with
# `w2s.Plan(weak="bag-of-words:1500", strong="smollm2-135m-q4")`. **Next:** [12 · Where the ability
# comes from](12_where_the_ability_comes_from.ipynb) predicts a student before it is trained.
