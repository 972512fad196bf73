# %% [markdown]
# # 00 · Start here
#
# **Question.** Can a model become better than the one that teaches it?
#
# **At the end** you can run the whole procedure of weak-to-strong generalization in ten lines, read its figure, and use
# the field's words for what you see.
#
# *About a minute of computing on a laptop the first time, seconds afterwards. No network, no GPU.*
#
# **How to work.** Run a cell with Shift+Enter. Guess before you run an experiment. Where a function has no body yet,
# write one and check it. Everything you do is remembered in a file beside this notebook; the last section shows it.

# %%
import matplotlib.pyplot as plt

import w2s_lab as w2s
from w2s_lab import classroom as room

store = w2s.Store()  # finished trainings are kept here, so the second time is fast

# %% [markdown]
# ## Why one asks
#
# People teach a language model by telling good answers from bad ones. Some work will be too hard for them to judge: a
# proof that nobody can follow, code that nobody can read in time. Then the teachers are weaker than the model that they
# teach.
#
# Nobody can try that today. So Burns et al. (2023, arXiv 2312.09390) study a stand-in: a small model teaches a large one
# on a task whose true answers we know. The comparison has limits. A small model need not err where people err. The large
# model may have read the answers, because people have written about such tasks; nobody has written about tasks that are
# beyond all of us. And models as small as those of this kit can show that something happens and how, not how much of it
# happens in large ones.
#
# ## Four roles
#
# | role | who it is | what it learns from |
# |---|---|---|
# | **weak supervisor** | a small language model | true answers, on its own half of the data |
# | **weak labels** ŷ | the supervisor's answers on the other half | |
# | **strong student** | a larger language model | the weak labels |
# | **strong ceiling** | the same larger model | the true answers of the student's examples |
#
# The supervisor makes mistakes. The student never sees the truth: only the supervisor's answers, mistakes included. The
# ceiling is there to measure against: it shows what the larger model can do when its teacher is right.
#
# The data are short reviews of a small made-up world. The question is always the same: does the writer like it?

# %%
splits = w2s.load_splits("sentiment", seed=0)
for example in splits.student_train.examples[:4]:
    print(f"{example.answer:<9} {example.input}")

# %% [markdown]
# Who learns what from whom? No example is in two of the three parts:

# %%
plan = w2s.Plan()  # which models, and how they are trained
room.four_roles(splits, plan)

# %% [markdown]
# ## Guess first
#
# The supervisor will be right on about four of five reviews. Its student learns to say what the supervisor says.

# %%
room.predict(
    "00-student",
    "On new reviews, how often will the strong student be right?",
    ["less often than its supervisor", "about as often", "more often"],
)

# %% [markdown]
# ## The procedure
#
# Ten lines. Each of the next notebooks opens one of them.

# %%
weak = store.train(w2s.load_model(plan.weak), splits.supervisor_train, plan.weak_recipe, role="weak supervisor")

# %%
labels = store.labels(weak, splits.student_train)  # ŷ for the other half
print(f"{labels.label_accuracy:.1%} of the weak labels are right")

# %%
student = store.train(w2s.load_model(plan.strong), labels, plan.recipe, role="strong student")

# %%
ceiling = store.train(w2s.load_model(plan.strong), splits.student_train, plan.recipe, role="strong ceiling")

# %% tags=["nbval-ignore-output"]
result = w2s.compare(weak, student, ceiling, splits.test)
for role in ("weak", "student", "ceiling"):
    print(f"{role:<8} {getattr(result, role).accuracy:.3f}")

# %% [markdown]
# `store.train` is `w2s.train` with a memory: it does the training, or reads back one that was done before. Supervisor,
# student and ceiling come from the same function. They differ only in **which model** learns and **which answers** it
# learns.

# %% tags=["nbval-ignore-output"]
gained = result.student.accuracy - result.weak.accuracy
found = "more often" if gained > 0.02 else "less often than its supervisor" if gained < -0.02 else "about as often"
room.outcome("00-student", found, "It was taught by the supervisor's answers alone, and got past them.")

# %% [markdown]
# ## Its figure

# %% tags=["nbval-ignore-output"]
w2s.plots.accuracy_bars(result)
plt.show()
recovered = (result.student.accuracy - result.weak.accuracy) / (result.ceiling.accuracy - result.weak.accuracy)
print(f"The student stands {recovered:.0%} of the way from its supervisor to the ceiling.")

# %% [markdown]
# ## How much of the gap?
#
# Between the weak supervisor and the strong ceiling lies a gap: what the larger model could do, and its teacher cannot.
# The **performance gap recovered** says how much of it came out:
#
# $$\mathrm{PGR} = \frac{P_{\text{student}} - P_{\text{weak}}}{P_{\text{ceiling}} - P_{\text{weak}}}$$
#
# **By hand.** A supervisor at 0.70, a student at 0.85, a ceiling at 0.90: what is the PGR?

# %%
round((0.85 - 0.70) / (0.90 - 0.70), 2)

# %% [markdown]
# **Exercise · 3 minutes, easy.** Write it as a function. (Do not clip it below 0 or above 1: Burns et al. 2023,
# arXiv 2312.09390, do not, and neither do we.)


# %%
def gap_recovered(weak, student, ceiling):
    """Three accuracies in, the performance gap recovered out."""
    ...  # your code here


# %%
room.check(gap_recovered)

# %% [markdown]
# What you write is used. Once it is right, the notebook goes on with it; until then the kit's own takes its place, and a
# line says which. The package has the same with an interval, because one split and its test reviews are only a sample:

# %% tags=["nbval-ignore-output"]
recover = room.yours(gap_recovered)
print(f"the PGR of this run: {recover(result.weak.accuracy, result.student.accuracy, result.ceiling.accuracy):.2f}")
low, high = result.pgr_interval(seed=0)
print(f"PGR {result.pgr:.2f}, 95 % bootstrap interval [{low:.2f}, {high:.2f}]")
assert result.student.accuracy > result.weak.accuracy and result.pgr > 0

# %% [markdown]
# ## What becomes of the supervisor's mistakes?
#
# On the test reviews that the supervisor gets wrong, the student may say the same (**imitation**) or be right
# (**correction**).

# %%
room.predict(
    "00-errors",
    "The student learnt the supervisor's mistakes as if they were true. What will it mostly do with new ones?",
    ["repeat the mistake", "be right"],
)

# %% [markdown]
# **Exercise · 8 minutes, medium.** Three lists of answers to the same examples. Of the examples that the weak supervisor gets wrong, which
# fraction does the student answer as the supervisor does?


# %%
def imitates(student, weak, truth):
    """P(student = weak | weak wrong), a fraction; the lists have the same length."""
    ...  # your code here


# %%
room.check(imitates)

# %% tags=["nbval-ignore-output"]
repeats = room.yours(imitates)
imitation = repeats(result.student.predictions, result.weak.predictions, result.student.truth)
print(f"agreement   P(student = weak)               {result.student.agreement:.2f}")
print(f"imitation   P(student = weak  | weak wrong) {imitation:.2f}")
print(f"correction  P(student = truth | weak wrong) {result.student.correction:.2f}")

# %% tags=["nbval-ignore-output"]
mostly = "be right" if result.student.correction > result.student.imitation else "repeat the mistake"
room.outcome("00-errors", mostly, "With two answers, imitation and correction add up to one.")

# %% [markdown]
# Which mistakes? The supervisor's errors are not spread evenly. Every review carries its **slices**: how it is built.

# %% tags=["nbval-ignore-output"]
w2s.plots.slice_dots(result)
plt.show()

# %% [markdown]
# Each row is a kind of review. Where blue stands to the right of orange, the student got past its teacher: it knows rare
# words and some constructions from its pre-training, and the weak labels only tell it what is asked. Why that is so, and
# when it stops being so, is the subject of the next notebooks.
#
# ## Quiz
#
# The first question is to put the steps in order.

# %%
room.quiz("00")

# %% [markdown]
# ## What this does not show
#
# The world is small and was made so that these mechanisms can be seen on a laptop; the models are real, pre-trained
# language models, but tiny. That the student got past its teacher here says that it *can* happen. How far it goes for
# large models on real tasks is an open question: the findings table in `docs/findings.md` says what was claimed and what was
# measured here. Notebook 11 does all this with a real language model and real reviews.
#
# ## Your progress

# %%
room.my_progress()

# %% [markdown]
# `room.reset_progress()` in a cell of your own forgets everything. **Next:** `01_the_objective.ipynb` derives what the
# student was trained on.
