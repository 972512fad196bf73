# %% [markdown]
# # 03 · The strong student
#
# **Question.** What happens, step by step, while a strong model learns from answers of which some are wrong?
#
# At the end you can
#
# * say, with a picture, why a student can surpass its teacher, and what undoes that;
# * write the training loop in the open, and read its two curves, accuracy and agreement;
# * start, pause and stop a training while you watch it;
# * give a PGR with an interval, and say what that interval is about;
# * tell where a PGR is undefined, and why it must not be called 0.
#
# *About 3 minutes of computing on a laptop the first time, seconds afterwards; no network.*

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import w2s_lab as w2s
from w2s_lab import classroom as room

store = w2s.Store()

# %%
room.predict(
    "03-first-pass",
    "A strong model learns from a weak one's labels, mistakes included: one pass. How will it do, on the truth?",
    ["below its supervisor", "level with its supervisor", "above its supervisor"],
)

# %% [markdown]
# ## Why it works
#
# Below, each mark is a review that the student learns from. It lies where the student's **own network**, before it has
# seen any label, puts it. Across is the *truth*: the direction that best tells positive reviews from negative ones. Up
# is the supervisor's *habit*: what predicts its labels beside the truth, such as single words in a negated sentence.
# The line is the student's: on one side it answers positive, on the other negative.
#
# 1. Look at the points first. Where are the wrong labels? Which line would be right for nearly all reviews?
# 2. Go to step 0, then press **Play**. At which step does the line stand upright, and what is the accuracy there?
# 3. What does the line do afterwards, and which points does it gain by that?
# 4. Choose *as many errors, at random places*. Why does the line stay?
# 5. Choose *all in one class*. Does the line turn, or does it move?
# 6. *Leakage*: each position has a network of its own, pre-trained on reviews of which only this share were closed by
#    sentences that follow the verdict. At 0 %, which labels lie left, and which right? Does the student pass its supervisor?
# 7. *Real English*: a linear probe on SmolLM2's features learns the labels of a bag of words. Does its line ever stand
#    upright? (`docs/real_english.md` says how to fetch model and sentences.)

# %% tags=["nbval-ignore-output"]
room.why_it_works(store)

# %% [markdown]
# The **tilt** says how the line leans: 0° follows the truth, 90° the habit. The direction of the truth lies ready in the
# pre-trained network, and most labels point that way. So the student takes from the labels *what is asked*, and answers
# by what it knows: that is how it surpasses its teacher. But the wrong labels share a direction of their own, and a
# student that goes on fitting them turns into it. Errors at random places share none. Eight seeds, each with a split
# and a supervisor of its own (`w2s-lab study tilt`):

# %%
tilts = room.measured("tilt")
for found in tilts["moments"]:
    away, names = found["away"], (found[name] for name in ("world", "labels", "moment"))
    print("{:<14}{:<15}{:<8}".format(*names), end="")
    print(f"{away['mean']:3.0f}° from upright [{away['low']:.0f}°, {away['high']:.0f}°]")
for world, away in tilts["supervisor"].items():
    print(f"{world}, the supervisor's own labels: {away['mean']:.0f}° [{away['low']:.0f}°, {away['high']:.0f}°]")

# %% [markdown]
# *best* is the best of the snapshots on the test set (on real English, of the probes along C), *trusted* the one that
# 100 trusted examples choose, and *last* is the end of training, or the largest C.
#
# In the pocket world the line stands nearly upright where the student is best, and ends as tilted as the supervisor's
# own labels. On real English it turns, too, and never stands upright: at its best the probe is above its supervisor with
# a line as tilted as the supervisor's labels. So there this plane shows what overfitting does, and not the whole of why
# the student was better. Both axes use the truth: the picture explains, and detects nothing.
#
# With little leakage the truth does not lie ready: all reviews lie in one cloud, and the only direction that the labels
# share is the habit. In each of eight seeds, at 0, 5 and 25 %, the student's best step stays below its supervisor (study `leakage`,
# notebook 12).
#
# Now such a training, piece by piece.
#
# ## The pieces
#
# A *bench* holds what all experiments of one seed share: the split, the weak supervisor and its labels, the strong
# model, the ceiling. Each part is made when it is first asked for, or read from the store.
#
# While the student trains we watch it on 300 test reviews: enough to see the course of things, few enough to be quick.
# `reference` holds what the weak supervisor says about the same reviews.

# %% tags=["nbval-ignore-output"]
splits = w2s.load_splits("sentiment", seed=0)
bench = w2s.Bench(splits, w2s.Plan(), store, seed=0)
labels = bench.labels  # ŷ for the student's reviews
print(f"{len(labels):,} reviews with weak labels; {labels.label_accuracy:.1%} of the labels are right")
watch = splits.test.take(range(300))
reference = bench.reference.take(range(300))
print(f"the weak supervisor is right on {reference.label_accuracy:.1%} of them")

# %% [markdown]
# ## Before the first step
#
# The strong model has read many reviews in pre-training, and has never seen an instruction, nor a label.

# %% tags=["nbval-ignore-output"]
strong = w2s.load_model("pocket-l")
before = w2s.evaluate(strong, watch, reference)
print(f"untrained: accuracy {before.accuracy:.3f}, agreement with the supervisor {before.agreement:.3f}")

# %% [markdown]
# ## The loop, in the open
#
# `w2s.training_steps` is a generator. It trains, and now and then it *yields* a snapshot: what the model answers at
# this moment. When you leave the loop, the training ends there.

# %% tags=["nbval-ignore-output"]
student, history = strong.copy(), []
recipe = w2s.Recipe(epochs=1, learning_rate=5e-5, eval_every=6)
for snapshot in w2s.training_steps(student, labels, recipe, watch=watch, reference=reference):
    history.append(snapshot)
    loss, now = snapshot.train_loss or float("nan"), snapshot.evaluation
    print(f"step {snapshot.step:2}: loss {loss:5.1f}, accuracy {now.accuracy:.3f}, agreement {now.agreement:.3f}")

# %% tags=["nbval-ignore-output"]
w2s.plots.learning_curves(history, weak=reference.label_accuracy)
plt.show()
gained = now.accuracy - reference.label_accuracy
where = "above" if gained > 0.02 else "below" if gained < -0.02 else "level with"
because = "It took from the labels what is asked for, and answers by what it knows itself."
room.outcome("03-first-pass", f"{where} its supervisor", because)

# %% [markdown]
# **Accuracy** compares with the truth, **agreement** with the weak supervisor. A perfect student would agree exactly as
# often as the supervisor is right. Whatever agreement lies above that line is made of repeated mistakes.
#
# ## Two numbers for each snapshot
#
# **By hand.** Five reviews; truth `+ + − − −`, weak supervisor `+ − − − +`, student `+ + − − +`. The student is right
# on four of five, and says what the supervisor says on four of five. Not the same four:

# %%
truth, weak_says, student_says = "++---", "+---+", "++--+"
right = [s == t for s, t in zip(student_says, truth, strict=True)]
same = [s == w for s, w in zip(student_says, weak_says, strict=True)]
print("right", right, sum(right) / 5, "\nsame ", same, sum(same) / 5)

# %% [markdown]
# **Exercise · 6 minutes, easy.** `snapshots` is a list with one entry per snapshot: the student's answers to the watched examples. Return
# for each snapshot the pair (accuracy, agreement).


# %%
def accuracy_and_agreement(snapshots, weak, truth):
    """A list of pairs of fractions; `weak` and `truth` are lists of answers to the same examples."""
    ...  # your code here


# %%
room.check(accuracy_and_agreement)

# %% [markdown]
# A snapshot's `evaluation` keeps the answers themselves. So the two curves above can be had from your function:

# %% tags=["nbval-ignore-output"]
count, answered = room.yours(accuracy_and_agreement), [s.evaluation.predictions for s in history]
pairs = count(answered, reference.answers, watch.answers)
assert np.allclose(pairs, [(s.evaluation.accuracy, s.evaluation.agreement) for s in history])
print("  ".join(f"{accuracy:.2f}/{agreement:.2f}" for accuracy, agreement in pairs))

# %% [markdown]
# ## A large loss, and yet right?
#
# The loss is $-\log \Pr(\hat y|x)$, in nats per answer, and it counts *every* text that the model could have written.
# The answer is chosen from a closed list of two. So the loss may still be large when the choice is already good:

# %% tags=["nbval-ignore-output"]
one = w2s.weak_labels(student, watch.take([0]))
print(one.examples[0].input, "→", one.answers[0])
print(f"among all texts:        Pr = exp({one.log_prob[0]:.1f}) = {np.exp(one.log_prob[0]):.1e}")
print(f"among the two answers:  Pr = {one.probs[0].max():.2f}")

# %% [markdown]
# Most of the early loss is about the form of an answer. The loss falls all the time and does not tell whether anything
# *true* is learnt: it knows $\hat y$ alone.
#
# ## What one step is
#
# From step $t$ to $t+1$: the mean loss of a batch, its gradient, cut to length 1 if it is longer, and a move of AdamW
# with learning rate $\eta_t$. That rate is not constant. It rises to its peak in equal parts (warm-up), so that the
# first, blind steps are small, and then falls to 0 along half a cosine, so that the model comes to rest.
#
# **By hand.** Peak 1, four steps of warm-up: ¼, ½, ¾, 1. Halfway through the rest: $0.5\,(1+\cos(\pi/2)) = 0.5$.
#
# **Exercise · 10 minutes, medium.** Return the rates of all steps. After the warm-up, with $p$ the fraction of the remaining steps that is
# done (0 at its first step): $\eta = \text{peak} \cdot 0.5\,(1+\cos \pi p)$.


# %%
def schedule_rates(steps, peak, warmup):
    """A list of `steps` learning rates; the first `warmup` of them rise to the peak."""
    ...  # your code here


# %%
room.check(schedule_rates)

# %%
schedule, (steps, _) = room.yours(schedule_rates), recipe.steps(len(labels))
rates = schedule(steps, recipe.learning_rate, 5)
axis, warm = ("step", range(1, steps + 1)), {"end of the warm-up": 5}
room.lines(axis, "learning rate", {"": rates}, role="student", up=warm, y_range=(0, 6e-5)).show()
print(f"{steps} steps; the highest rate, {max(rates):.0e}, comes at step {int(np.argmax(rates)) + 1}.")
small, few = w2s.load_model("pocket-s"), labels.take(range(256))
(prompts, _), answers = small.encode_prompts(few.examples, small.window), small.encode_answers(few.answers)

# %% [markdown]
# With the schedule known, the whole loop fits on one screen. It trains the small model on 256 labels, to be quick:


# %%
def train_with(rates):  # the batches' mean losses, in nats per answer, of a training with these eight learning rates
    model, losses = small.copy(), []
    optimizer = torch.optim.AdamW(model.network.parameters())
    for at, rate in zip(range(0, len(few), 32), rates, strict=True):
        loss = -model.log_prob(prompts[at : at + 32], answers[at : at + 32]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


# %% tags=["nbval-ignore-output"]
losses = train_with(schedule(8, 5e-4, 1))  # your schedule, or the kit's
print("nats per answer:", *(f"{loss:.1f}" for loss in losses))
assert losses[-1] < 0.8 * losses[0]

# %% [markdown]
# `training_steps` is this loop. It draws the order of the examples from a seed, and adds snapshots, checkpoints and large
# batches in pieces. The mathematics is the same.
#
# ## Watch it, stop it
#
# The same training with buttons. The picture shows the run above until you press **Start**; the run before stays, pale.
# Three things to try:
#
# 1. Press **Start**, then **Pause**: the curve stands still, and goes on at a click.
# 2. Ten times the learning rate and five epochs: when would you press **Stop**? The panel's `model` is the student of
#    that moment.
# 3. Labels: **truth** instead of weak labels. Which curve changes places?

# %% tags=["nbval-ignore-output"]
both = {"weak labels": labels, "truth": splits.student_train}
watched = {"watch": watch, "reference": reference, "weak": reference.label_accuracy}
panel = room.live_training(strong, both, recipe, example=history, **watched)
panel

# %% [markdown]
# ## Against the ceiling
#
# Now the comparison with everything in its place: three passes, all 1,000 test reviews, and the **strong ceiling**, the
# same model on the same reviews with the same recipe, but taught the truth.

# %%
options = ["less than a quarter", "a quarter to a half", "half to three quarters", "more than three quarters"]
room.predict(
    "03-gap",
    "How much of the gap from weak supervisor to strong ceiling will three passes recover?",
    options,
)

# %% tags=["nbval-ignore-output"]
outcome = bench.student(labels)
result = outcome.comparison
w2s.plots.accuracy_bars(result)
plt.show()
assert result.weak.accuracy < result.student.accuracy < result.ceiling.accuracy
part = options[int(np.searchsorted([0.25, 0.5, 0.75], result.pgr))]
reached = outcome.best.evaluation.accuracy
room.outcome("03-gap", part, f"On its way it had been at {reached:.3f} already: notebook 04 is about that.")

# %% [markdown]
# ## How sure is this number?
#
# A thousand reviews are a sample. With other reviews the three accuracies would differ, and so would the PGR. The
# **bootstrap** imitates that: draw as many items *with replacement* from those there are, compute the PGR again, many
# times over. All three models are scored on the same draw, since they answered the same reviews: it is *paired*.
#
# **By hand.** Six reviews, 1 = right; then a draw in which review 0 comes three times:

# %%
weak_right = np.array([1, 1, 1, 0, 0, 0])
student_right = np.array([1, 1, 0, 1, 1, 0])
ceiling_right = np.array([1, 1, 1, 1, 1, 0])
for draw in ([0, 1, 2, 3, 4, 5], [0, 0, 0, 3, 4, 5]):
    w, s, c = (right[draw].mean() for right in (weak_right, student_right, ceiling_right))
    print(f"draw {draw}: weak {w:.2f}, student {s:.2f}, ceiling {c:.2f}, PGR {(s - w) / (c - w):.2f}")

# %% [markdown]
# **Exercise · 8 minutes, medium.** `weak`, `student` and `ceiling` are arrays of N zeros and ones, right or wrong on each test item. `rows`
# is a table of B draws with N item numbers each. Return the B PGRs.


# %%
def resampled_pgrs(weak, student, ceiling, rows):
    """weak, student, ceiling: [N] of 0 and 1; rows: [B, N] item numbers. Returns [B] PGRs."""
    ...  # your code here


# %%
room.check(resampled_pgrs)

# %% [markdown]
# With 2,000 draws, and as a picture; the middle 95 % of them are the interval. The package's `pgr_interval` draws from
# the same distribution in another way (only counts matter), so the two agree to within the luck of the draws.

# %% tags=["nbval-ignore-output"]
rows = np.random.default_rng(0).integers(0, 1000, (2000, 1000))
resample, right = room.yours(resampled_pgrs), [e.correct for e in (result.weak, result.student, result.ceiling)]
drawn, (low, high) = np.asarray(resample(*right, rows)), result.pgr_interval(seed=0)
counts, edges = np.histogram(drawn, 30)
axis, ends = ("PGR of a resample of the test reviews", edges[:-1]), {f"{low:.2f}": low, f"{high:.2f}": high}
room.lines(axis, "resamples", {"": counts}, role="student", up=ends, y_range=None).show()
print(f"PGR {result.pgr:.2f}; 95 % interval over test reviews [{low:.2f}, {high:.2f}] (dashed)")
assert np.allclose(np.percentile(drawn, [2.5, 97.5]), [low, high], atol=0.03)

# %% [markdown]
# **The wrong way.** Resample each model on its own, as if the three had answered different reviews:

# %% tags=["nbval-ignore-output"]
generator = np.random.default_rng(1)
w, s, c = (one[generator.integers(0, 1000, (2000, 1000))].mean(axis=1) for one in right)
ends = np.percentile((s - w) / (c - w), [2.5, 97.5])
print(f"paired: width {high - low:.3f};  unpaired: width {ends[1] - ends[0]:.3f}")

# %% [markdown]
# Most reviews that are hard for one model are hard for the others. Pairing lets that cancel, so the right interval is
# the narrower one.
#
# ## And with another seed?
#
# The interval above holds the three models fixed. It does not know that another split, another supervisor and another
# order of the examples would have given other models.

# %%
options = ["narrower: three runs know more than one", "about the same", "wider"]
room.predict(
    "03-seeds",
    "Three whole runs, seeds 0, 1 and 2: will the 95 % interval of their mean PGR be narrower or wider "
    "than the one over test reviews?",
    options,
)

# %% [markdown]
# Such runs take a while, so their numbers were measured before and lie in `data/results`. First the average by your own
# hand, since one thing in it goes wrong easily.
#
# **By hand.** PGRs of four seeds: 0.2, undefined, 0.5, 0.8. The mean of the three that exist is 0.5, and one is left
# out *and said to be left out*. With $n$ values, standard deviation $s$ (with $n-1$) and Student's $t$ for $n-1$
# degrees of freedom, the 95 % interval is mean $\pm\; t\, s/\sqrt{n}$.
#
# **Exercise · 8 minutes, medium.** Some entries of `pgrs` may be None. `t` is given, for the number of seeds that are left.


# %%
def pgr_over_seeds(pgrs, t):
    """Returns (mean, low, high, how many are undefined) of a list of PGRs, some of which may be None."""
    ...  # your code here


# %%
room.check(pgr_over_seeds)

# %% tags=["nbval-ignore-output"]
runs = {task: room.measured(f"run-{task}") for task in ("sentiment", "helpdesk", "summary", "topic")}
over, average = runs["sentiment"]["pgr"], room.yours(pgr_over_seeds)
rows = [row for row in room.measured("methods")["rows"] if row["grid"] == "sentiment"]
pgrs = [row["pgr"] for row in rows if row["method"] == "plain weak labels"]
for n, t in ((3, 4.303), (8, 2.365)):  # the first three of these eight seeds are those of the question
    print("{} seeds: mean PGR {:.2f}, 95 % interval [{:.2f}, {:.2f}]".format(n, *average(pgrs[:n], t)))

# %% tags=["nbval-ignore-output"]
ratio = (over["high"] - over["low"]) / (high - low)
found = options[int(np.searchsorted([0.8, 1.2], ratio))]
because = f"{ratio:.1f} times as wide: the luck of a run is larger than the luck of the test set."
room.outcome("03-seeds", found, because)

# %% [markdown]
# Which interval is right? Both. The first answers *how well do we know these three models?*, the second *how well do we
# know the procedure?* Whoever claims something about the **procedure** needs the second.
#
# ## Where there is no gap
#
# On the task *topic* (which of eight things is the text about?) the supervisor already knows all the words it needs.

# %%
room.predict(
    "03-topic",
    "Supervisor, student and ceiling are all right on every test example. What is the PGR?",
    ["0: nothing was recovered", "1: the student is as good as the ceiling", "undefined"],
)

# %%
topic = {role: found["mean"] for role, found in runs["topic"]["accuracy"].items()}
print(topic, "PGR", runs["topic"]["pgr"])
room.outcome("03-topic", "undefined", "There is no gap: no part of it to recover, and no whole.")

# %% [markdown]
# 0 divided by 0 is no number. Nor is it a matter of rounding: just *beside* it the PGR is a number that means nothing.
# Say that the ceiling is right on one more of 1,000 examples than the supervisor: then each example that the student
# gets right moves its PGR by 1.
#
# So look at the gap first. Four of the built-in tasks, three seeds each:

# %%
for task, run in runs.items():
    weak, _, ceiling = (found["mean"] for found in run["accuracy"].values())
    print(f"{task:<10} gap {ceiling - weak:.3f}   PGR undefined in {run['pgr_undefined']} of 3 seeds")
pgrs = {task: run["pgr"] for task, run in runs.items()}
room.bars("PGR, mean over three seeds with 95 % interval", pgrs, x_range=(-0.3, 1.0)).show()
print("Needed: a gap (topic has none), and knowledge to draw out (summary seems to have none).")

# %% [markdown]
# ## What is recovered was there before
#
# The weak labels say what is asked for. The knowledge comes from pre-training. The control: the same architecture with
# *random weights*. First one pass over the same weak labels, with ten times the learning rate. A control needs a control
# of its own, so another copy takes the same pass over the *truth*.

# %% tags=["nbval-ignore-output"]
once = w2s.Recipe(epochs=1, learning_rate=5e-4)
for name, taught in (("weak labels", labels), ("truth", splits.student_train)):
    untaught = bench.student(taught, once, start="scratch:pocket-l", role=f"random weights, {name}")
    print(f"random weights, one pass over the {name:<11}: accuracy {untaught.comparison.student.accuracy:.3f}")

# %% [markdown]
# The second number says what the first is worth. Random weights do not learn the *truth* in one pass. So their failure
# on weak labels shows nothing yet. The study `methods` gives them eight passes, at the rate at which they learn the truth
# best.

# %%
room.predict(
    "03-scratch",
    "Random weights, eight passes, a rate at which they do learn the truth. Where does the student of weak labels end?",
    ["near chance", "below the weak supervisor", "above the weak supervisor"],
)

# %%
blank = room.measured("methods")["summary"]["sentiment, no pre-training"]["plain"]
end, weak = blank["accuracy"], blank["weak"]
shown = {"taught the truth": blank["ceiling"], "weak supervisor": weak, "taught weak labels": end}
room.bars("accuracy, mean over 8 seeds, 95 % interval", shown, role=["ceiling", "weak", "student"]).show()
assert end["n"] == 8 and (end["high"] < weak["low"] or end["low"] > weak["high"])
where = f"{'below' if end['high'] < weak['low'] else 'above'} the weak supervisor"
because = "It learns what its labels say, and has nothing of its own to correct them with."
room.outcome("03-scratch", "near chance" if end["mean"] < 0.6 else where, because)

# %% [markdown]
# ## An open task
#
# **Open task · 15 minutes, medium.** Make a schedule of your own, of any shape. It starts small, reaches its peak once or more often, and
# comes to rest. The cell below the stub trains with it, beside the usual one.


# %%
def my_schedule(steps, peak):
    """A list of `steps` learning rates, the highest of them `peak`; called with 8, 40 and 400 steps."""
    ...  # your code here


room.check(my_schedule)

# %% tags=["nbval-ignore-output"]
own = train_with(room.yours(my_schedule)(8, 5e-4))
print(f"last loss {losses[-1]:.3f} with the usual schedule, {own[-1]:.3f} with this one, nats per answer")

# %% [markdown]
# <details><summary>A sample discussion. Unfold it when your answer is accepted.</summary>
#
# With eight steps on one seed, the losses of two schedules differ, and that says nothing yet: another order of the
# examples moves them as much. To claim that yours is better, train with both on the same seeds, take the difference
# within each seed, and give its interval; and do it at the length of training that you mean, since a schedule that is good
# in eight steps may be poor in four hundred. And which accuracy would you compare: on weak labels, on the truth, at the
# end, or where trusted examples stop?
#
# </details>
#
# ## Questions

# %%
room.quiz("03")

# %% [markdown]
# ## What this does not show
#
# * One task, one pair of models, one recipe. Where the student stands after three passes depends on all of them.
# * The intervals over three seeds are wide, and rest on the assumption that PGRs of seeds scatter like a bell curve.
# * A hundred true answers, learnt alone, teach this student more than all its weak labels: notebook 04b shows it. Weak
#   labels are for tasks that a few true answers cannot teach.
# * Here the truth is known, so accuracy can be drawn while the student trains. Where weak labels are really needed, it
#   is not, and only loss and agreement remain.
#
# ## Next
#
# You may have seen in the live panel that accuracy can fall while agreement rises. **Notebook 04** looks into that:
# which examples flip, when, and to what. How to stop in time is in notebook 04b.
