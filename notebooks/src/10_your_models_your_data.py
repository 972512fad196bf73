# %% [markdown]
# # 10 · Your models, your data
#
# **Question.** Does weak-to-strong generalization work with my models on my data, and will they fit on my card?
#
# At the end you can
#
# * read a file of your own, and have its mistakes shown to you by line number;
# * name the answers so that a language model can use what it knows;
# * run the same ten lines on any file or data set of the Hub, with any two causal language models;
# * say before anything is downloaded how much of a GPU's memory a training takes;
# * tell when there is no gap, and say so.
#
# *About a minute of computing on a laptop the first time, seconds afterwards. With `HUB = False` nothing is fetched.*

# %%
import csv
import os
import warnings
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import w2s_lab as w2s
from w2s_lab import classroom as room
from w2s_lab.classroom.dashboards.memory_explorer import estimated
from w2s_lab.classroom.toolkit.chart import Bar, BarChart
from w2s_lab.methods.flywheel import perplexity
from w2s_lab.planning.dry_run import dry_run_table, plan_estimate
from w2s_lab.planning.estimate import DEVICES, Texts
from w2s_lab.planning.hub_models import MODELS, PAIRS, pair_plan

store = w2s.Store()

# %% [markdown]
# Two switches. With a GPU *and* the Hub, the last section fine-tunes a model of 1.7 billion parameters; without, it
# does the same with the pocket ladder and a small file. Everything before it needs neither.

# %% tags=["nbval-ignore-output"]
HUB = False  # True: models and data sets may be fetched from the Hugging Face Hub
gpu = torch.cuda.is_available()
print("GPU:", torch.cuda.get_device_name() if gpu else "none", "· Hub:", "yes" if HUB else "no")

# %% [markdown]
# ## A file of your own
#
# Any `.csv`, `.tsv` or `.jsonl` file with an input and an answer in each row. So that there is one, this cell writes
# it: 2,000 reviews, as somebody might have kept them, with a 1 where the writer liked it and a 0 where not.

# %%
folder = Path(os.path.relpath(store.root / "own"))
folder.mkdir(parents=True, exist_ok=True)
_, reviews, _ = w2s.read_examples("sentiment")
with open(folder / "reviews.csv", "w", newline="", encoding="utf-8") as file:
    rows = [(one.input, int(one.answer == "positive")) for one in reviews[:2000]]
    csv.writer(file).writerows([("text", "liked"), *rows])

# %%
print(*(folder / "reviews.csv").read_text(encoding="utf-8").splitlines()[:4], sep="\n")

# %% [markdown]
# The reader guesses which column is what, and says what it guessed. Read its notes: a guess that is not noticed is a
# mistake that is trained on.

# %%
task, examples, notes = w2s.read_examples(folder / "reviews.csv")
print(*notes, sep="\n")

# %% [markdown]
# ## What a file gets wrong
#
# Files come with slips. None of them may pass in silence, and none should take an hour to find. Four of the usual ones,
# each in three or four lines:

# %%
broken = {
    "a slip of the pen": "text,liked\nThe soup was good.,yes\nThe wine was sour.,no\nFine bread.,yess\n",
    "a comma without quotes": "text,liked\nThe soup was good.,yes\nThe wine, I think, was sour.,no\n",
    "a quote never closed": 'text,liked\n"The soup was good.,yes\nThe wine was sour.,no\n',
    "a missing answer": "text,liked\nThe soup was good.,yes\nThe wine was sour.,\n",
}

# %%
for what, text in broken.items():
    (folder / "broken.csv").write_text(text, encoding="utf-8")
    try:
        w2s.read_examples(folder / "broken.csv", answers=["yes", "no"])
    except w2s.DataError as error:
        print(f"{what}\n   {error}\n")

# %% [markdown]
# Not every slip is an error. The same review twice may be an accident, the same review with *two* answers is a
# contradiction. Only the first row is kept, and a warning names the rows that were left out:

# %%
lines = ["text,liked", "Good soup.,yes", "Sour wine.,no", "Good soup.,no", "Sour wine.,no"]
(folder / "twice.csv").write_text("\n".join(lines), encoding="utf-8")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    w2s.read_examples(folder / "twice.csv", answers=["yes", "no"])
print(*(one.message for one in caught), sep="\n")

# %% [markdown]
# An example is kept once for a reason: a review in the training part *and* in the test part would be remembered, not
# understood. `load_splits` parts by the examples' own ids, and raises where one is in two parts.
#
# ## The model that knows one word
#
# Before any model: how often is the most frequent answer right? A student below that line has learnt nothing, whatever
# its PGR.
#
# **By hand.** Training answers `yes yes no`, test answers `no no yes`. The most frequent one in *training* is `yes`; on
# the test part it is right once in three.
#
# **Exercise · 4 minutes, easy.** Two lists of answers. Choose on `train`, score on `test`.


# %%
def majority_accuracy(train, test):
    """Accuracy on `test` (a fraction) of always giving the answer that is most frequent in `train`."""
    ...  # your code here


# %%
room.check(majority_accuracy)

# %%
coded = w2s.load_splits(folder / "reviews.csv", seed=0)
counts = Counter(coded.student_train.answers)
constant = room.yours(majority_accuracy)(list(coded.student_train.answers), list(coded.test.answers))
print(f"{len(coded.student_train):,} examples for the student: {dict(counts)}")
print(f"the most frequent answer is right on {constant:.1%} of the {len(coded.test)} test examples")

# %% [markdown]
# ## What are the answers called?
#
# The file says `1` and `0`, and that is what the models now learn to write. A small plan, so that it takes seconds:

# %%
words = {"1": "positive", "0": "negative"}
plan = w2s.Plan(
    weak="pocket-s",
    strong="pocket-m",
    weak_recipe=w2s.Recipe(epochs=8, learning_rate=5e-4),
    recipe=w2s.Recipe(epochs=3, learning_rate=1e-4),
)

# %%
room.predict(
    "10-codes",
    "The strong ceiling learns from <i>true</i> answers, written as 1 and 0. How accurate will it become?",
    ["near chance", "between the two", "above 95 %"],
)

# %% tags=["nbval-ignore-output"]
as_codes = w2s.weak_to_strong(coded, plan, store, seed=0).comparison
for role in ("weak", "student", "ceiling"):
    print(f"{role:<8} {getattr(as_codes, role).accuracy:.3f}")
print("PGR", as_codes.pgr)

# %% tags=["nbval-ignore-output"]
choices = ["near chance", "between the two", "above 95 %"]
found = choices[int(np.searchsorted([0.6, 0.95], as_codes.ceiling.accuracy))]
room.outcome("10-codes", found, "Nothing in pre-training ties a 1 to a review that is full of praise.")

# %% [markdown]
# A language model answers in **words**, and brings along what it knows of them. Nothing else changes now but the names
# of the answers: `positive` and `negative`, and an instruction that asks for them.

# %% tags=["nbval-ignore-output"]
options = {"answers": words, "instruction": "Did the writer like it?"}
named = w2s.load_splits(folder / "reviews.csv", seed=0, **options)
as_words = w2s.weak_to_strong(named, plan, store, seed=0).comparison
w2s.plots.accuracy_bars(as_words)
plt.show()
print(f"ceiling: {as_codes.ceiling.accuracy:.2f} with codes, {as_words.ceiling.accuracy:.2f} with words")
assert as_words.ceiling.accuracy > 0.9 and as_codes.ceiling.accuracy < 0.65
assert as_words.student.accuracy > as_words.weak.accuracy

# %% [markdown]
# The same reviews, the same truth, the same models. With codes even the ceiling learnt nothing, so that a PGR, defined
# or not, had nothing to say. Larger models know more about a 1, and yet the choice of the words counts for them too:
# Schick and Schütze (2021, arXiv 2001.07676) call it the *verbalizer*. Before you change the model, look at what you
# ask it to say.
#
# ## Text of another world
#
# The pocket ladder knows reviews and help-desk tickets. Your file is about something else: notes on the plants of a
# greenhouse, say.

# %%
plants = ["fern", "orchid", "tomato", "basil", "cactus", "ivy", "rose", "fig", "mint"]
well = ["new shoots", "green leaves", "firm stems", "fat buds", "strong roots", "ripe fruit"]
ill = ["brown tips", "yellow spots", "limp stems", "black roots", "grey mould", "sticky leaves"]
pairs = [(a, b) for signs in (well, ill) for a in signs for b in signs if a != b]
diary = [f"The {plant} has {a} and {b}." for plant in plants for a, b in pairs]
diary = np.random.default_rng(0).permutation(diary).tolist()
print(f"{len(diary)} notes, such as: {diary[0]}")

# %% [markdown]
# How strange are they to the model? Its **perplexity** tells: among how many equally likely tokens might it as well
# choose at each place? 1 would be certainty. We keep 100 notes apart to measure it.

# %% tags=["nbval-ignore-output"]
stranger = w2s.load_model("pocket-m")
before = perplexity(stranger, diary[:100])
blind = len(stranger.tokenizer)
print(f"perplexity {before:,.0f}; a blind guess among all its tokens would have {blind:,}")
assert before > blind

# %% [markdown]
# It does worse than a blind guess: it is sure of what comes next, and wrong.

# %%
room.predict(
    "10-adapt",
    "Now it reads the other notes three times, predicting each next token; nobody has labelled anything. "
    "By what factor does its perplexity on the 100 notes fall?",
    ["less than 2", "2 to 10", "more than 10"],
)

# %% tags=["nbval-ignore-output"]
unlabelled = tuple(w2s.Example("", note) for note in diary[100:])
inputs = w2s.LabelledSet(w2s.Task("greenhouse"), unlabelled, ("",) * len(unlabelled))
adapted = w2s.adapt("pocket-m", inputs, w2s.Recipe(epochs=3, learning_rate=1e-3))
after = perplexity(adapted, diary[:100])
print(f"perplexity {before:,.0f} before, {after:.1f} after")
assert after < before / 2

# %% tags=["nbval-ignore-output"]
choices = ["less than 2", "2 to 10", "more than 10"]
found = choices[int(np.searchsorted([2, 10], before / after))]
room.outcome("10-adapt", found, f"After {len(inputs)} short notes it knows how such a note goes.")

# %% [markdown]
# Such a model is kept as a folder, in the format of `transformers`. **A folder is a model like any other**: give its
# path wherever a name is expected, for a model of your own as well.

# %%
w2s.save_model(adapted, folder / "pocket-m-plants")
mine = w2s.Plan(weak="pocket-s", strong=str(folder / "pocket-m-plants"))
again = w2s.load_model(mine.strong)
print(sorted(path.name for path in Path(mine.strong).iterdir()))
assert abs(perplexity(again, diary[:100]) - after) < 0.01 * after

# %% [markdown]
# Burns et al. (2023, arXiv 2312.09390, section 5.2.2) report that adapting to the unlabelled inputs helps in reward
# modelling. Does it always? Measured with this kit, over several seeds, each paired with the same run without adaptation:

# %%
bars, rows = [], room.measured("methods")["rows"]
for task_name in ("sentiment", "helpdesk", "summary", "topic"):
    own = {(row["method"], row["seed"]): row["accuracy"] for row in rows if row["grid"] == task_name}
    seeds = [seed for method, seed in own if method == "adapted to the inputs"]
    gains = [own["adapted to the inputs", seed] - own["plain weak labels", seed] for seed in seeds]
    found = w2s.metrics.mean_interval(gains)
    bars.append(Bar(f"{task_name}, {found.n} seeds", found.mean, "student", found.low, found.high))

# %%
BarChart("accuracy at the end: adapted minus not adapted, with 95 % interval", tuple(bars), (-0.25, 0.1)).show()
worst = min(bars, key=lambda bar: bar.value)
print(f"Not always. {worst.label}: {worst.value:+.3f} [{worst.low:+.3f}, {worst.high:+.3f}].")

# %% [markdown]
# That is the end of training. Where 100 trusted examples choose the snapshot, adaptation still hurts on the helpdesk, though
# less surely. On real English, SmolLM2 read 1,000 other film reviews and then predicted reviews far better; its student, stopped
# in time, was level with that of the model as it was (`docs/findings.md`). So try it, and compare: with and without, paired by seed. On the command line it is
# `--adapt`, in a plan `Plan(adapt=Recipe(...))`.
#
# ## Will it fit?
#
# A GPU that is too small says so after the download. Counting is quicker. For fine-tuning in float32 with AdamW, each
# *trained* parameter takes four numbers of 4 bytes: the weight, its gradient, and AdamW's two running averages (of the
# gradient, and of its square). A *frozen* one takes its weight alone.
#
# **By hand.** A thousand trained parameters: $1000 \cdot (4 + 4 + 8) = 16{,}000$ bytes. A million frozen and a thousand
# trained ones: $4 \cdot 1{,}000{,}000 + 16 \cdot 1000 = 4{,}016{,}000$ bytes.
#
# **Exercise · 5 minutes, easy.** Count the bytes for weights, gradients and AdamW's averages.


# %%
def training_bytes(frozen, trained):
    """frozen, trained: numbers of parameters, all in float32. Returns bytes, activations not counted."""
    ...  # your code here


# %%
room.check(training_bytes)

# %%
count_bytes = room.yours(training_bytes)
for name in ("HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-360M"):
    fixed = count_bytes(0, MODELS[name].parameters) / 1e9
    print(f"{name:<28} {MODELS[name].parameters / 1e6:6,.0f} M: {fixed:5.1f} GB before any activation")

# %%
room.predict(
    "10-fits",
    "The largest model of this family has 1.7 billion parameters. All its weights, on a T4 with 16 GB: does it fit?",
    ["yes", "only one example at a time", "no, not even one example"],
)

# %%
whole = estimated("HuggingFaceTB/SmolLM2-1.7B", "T4")
choices = ["no, not even one example", "only one example at a time", "yes"]
found = choices[whole.fits + (whole.fits and whole.rows > 1)]
room.outcome("10-fits", found, f"It takes {whole.memory / 1e9:.1f} GB with a single example.")

# %% [markdown]
# ## Train little of it
#
# **LoRA** (Hu et al. 2021, arXiv 2106.09685) leaves every matrix $W$ (out × in) as it is and learns an update of low
# rank, $W + \tfrac{\alpha}{r} B A$, with $A$ of $r$ × in and $B$ of out × $r$.
#
# **By hand.** A matrix from 4 numbers to 3, rank 1: $A$ has 4 entries, $B$ has 3, together 7; the matrix itself has 12.
# At this size it hardly pays. From 2,048 to 2,048 with rank 16 it is 65,536 instead of 4,194,304.
#
# **Exercise · 5 minutes, easy.** Count the parameters of such updates. All layers are alike, and `matrices` lists (in, out) of the
# matrices of one layer.


# %%
def lora_parameters(layers, matrices, rank):
    """How many parameters an update of this rank has; matrices: pairs (in, out) of one layer."""
    ...  # your code here


# %%
room.check(lora_parameters)

# %%
model = MODELS["HuggingFaceTB/SmolLM2-1.7B"]
count_thin = room.yours(lora_parameters)
adapter = count_thin(model.layers, model.matrices, 16)
thin = estimated(model.name, "T4", lora_rank=16, checkpointing=True)
print(f"{adapter / 1e6:.0f} M trained of {model.parameters / 1e6:,.0f} M: {adapter / model.parameters:.1%}")
print(f"{thin.memory / 1e9:.1f} GB with {thin.rows} examples at a time, not {whole.memory / 1e9:.1f} GB with one")

# %% [markdown]
# Now move the sliders. What does **gradient checkpointing** change (it computes activations a second time on the way
# back instead of keeping them)? What does the number of **tokens** change? Which card would you need to train all weights of
# the model of 7 billion parameters?

# %%
room.memory_explorer()

# %% [markdown]
# The whole procedure has more parts than one training: labelling, evaluations, the ceiling. `w2s-lab run --dry-run T4`
# counts them all, and so does one call here. Nothing is loaded for it, and the card need not be there.

# %%
pair = pair_plan("smollm2-16gb")
print(dry_run_table(pair, w2s.SplitSizes.of(len(examples)), examples, task.answers, device="T4"))

# %% [markdown]
# All pairs with a recipe of their own (`w2s_lab/planning/hub_models.py`), for reviews as short as these:

# %%
sizes, texts = w2s.SplitSizes.of(len(examples)), Texts.of(examples, task.answers)
print(f"{'':<14}" + "".join(f"{card:>8}" for card in DEVICES))
for name in PAIRS:
    cells = []
    for device in DEVICES.values():
        rows = plan_estimate(pair_plan(name), sizes, texts, device)
        cells.append("fits" if all(row.estimate.fits for row in rows) else "–")
    print(f"{name:<14}" + "".join(f"{cell:>8}" for cell in cells))

# %% [markdown]
# ## The same ten lines, with large models
#
# Data from a file or from the Hub, models from the ladder, a folder or the Hub: the code below does not care. Set
# `HUB = True` at the top, on a machine with a GPU and a network (and the packages of `pip install 'w2s-lab[gpu]'`), and
# run all cells again. SciQ asks whether a proposed
# answer to a question from a science exam is right (Welbl et al. 2017, arXiv 1707.06209; Burns et al. turn it into yes
# and no, and so does this kit).

# %%
if HUB and gpu:
    source, options, plan = "hub:sciq", {}, pair_plan("smollm2-16gb")
else:
    source, options = folder / "reviews.csv", {"answers": words, "instruction": "Did the writer like it?"}


def tell(role, done, steps):
    """A line now and then, where a training takes long."""
    if done % 50 == 0 or done == steps:
        print(f"{role}: step {done} of {steps}")


# %% tags=["nbval-ignore-output"]
splits = w2s.load_splits(source, seed=0, **options)
outcome = w2s.weak_to_strong(splits, plan, store, seed=0, on_step=tell)
w2s.plots.learning_curves(
    outcome.curve, weak=outcome.comparison.weak.accuracy, ceiling=outcome.comparison.ceiling.accuracy
)
plt.show()
print(w2s.plots.pgr_text(outcome.comparison))

# %% [markdown]
# On the command line, with three seeds, it is
#
# ```
# w2s-lab run --data hub:sciq --pair smollm2-16gb --dry-run T4
# w2s-lab run --data hub:sciq --pair smollm2-16gb
# w2s-lab run --data reviews.csv --answers 1=positive,0=negative --weak pocket-s --strong my-folder
# ```
#
# The pairs are starting points: their rates come from the literature, and the authors of this kit have not run them.
# Expect little at first. How much of the gap is recovered differs from task to task and from pair to pair, and may be nothing
# (see `docs/findings.md`, and Burns et al. 2023).
#
# ## When there is no gap
#
# The pocket ladder was tried on real text too: SST-2, sentences from film reviews (Socher et al. 2013), three seeds.

# %%
real = room.measured("run-sst2")
for role, found in real["accuracy"].items():
    print(f"{role:<16} {found['mean']:.2f} [{found['low']:.2f}, {found['high']:.2f}]")
print(f"PGR {real['pgr']}: undefined for {real['pgr_undefined']} of {len(real['seeds'])} seeds")

# %% [markdown]
# The ceiling is not above the supervisor. That is no failure of the method, and no PGR of 0: nothing about real films
# was ever pre-trained into *these* models, so there is nothing to draw out. The report for such a run is the three
# accuracies with their intervals, and the word *undefined*. On real film reviews there is a gap for a model that was
# pre-trained on real text, also for a small one on a laptop: `docs/real_english.md` shows it.
#
# A list for your own data, in this order:
#
# 1. the file: were all notes and warnings read?
# 2. the constant answer: how good is it?
# 3. the names of the answers: words that the model knows?
# 4. the ceiling: does it learn at all?
# 5. the gap: is the ceiling above the supervisor, for several seeds?
# 6. and only then the PGR, with its interval.
#
# ## An open task
#
# **Open task · 20 minutes, hard.** Plan a run on data of your own: which pair of models on which card, what the answers are called, how many
# examples test and validate, how many seeds, and how many hours it may take. Six criteria judge it, for prompts of 80
# tokens on average and 1,000 examples each for supervisor and student.


# %%
def my_plan():
    """{"pair": ..., "card": ..., "answers": {code: word}, "test": n, "validation": n, "seeds": n, "hours": n}"""
    ...  # your code here


room.check(my_plan)

# %% [markdown]
# <details><summary>A sample discussion. Unfold it when your answer is accepted.</summary>
#
# A large test set costs little and decides what can be seen: 500 examples tell accuracies apart that differ by 0.05.
# Seeds cost whole trainings, and they are what a claim about the procedure rests on. So a smaller pair with five seeds
# often says more than a larger one with a single seed.
#
# The hours are counted from operations, not measured; a first run with one seed tells how far off they are. And before
# any of this: is the ceiling above the supervisor at all?
#
# </details>
#
# ## Questions

# %%
room.quiz("10")

# %% [markdown]
# ## What this does not show
#
# * The memory is counted, not measured: a tenth of the card is kept free for what is not counted, and drivers differ.
# * The file here comes from the world that the ladder was pre-trained on. With yours, expect to need real models.
# * One seed. Before you believe a PGR of your own, run three.
#
# ## Next
#
# [11 · Real English](11_real_english.ipynb): a real language model and sentences that people wrote, on a laptop.
#
# And your own question. The methods of notebooks 04 to 08 are one line each in a bench, and `w2s-lab study` runs such
# lines over many seeds. Notebook 00 shows your progress.
