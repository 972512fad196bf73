# %% [markdown]
# # 01 · The objective
#
# **Question.** What exactly is the strong student asked to do, and what does that reward where a label is wrong?
#
# **At the end** you can derive the objective from maximum likelihood, compute $\log\Pr(\hat y|x)$ by hand, in torch and
# with the package, say which tokens carry loss, exchange a symbol and know what comes out, and see where the gradient
# pulls.
#
# *Less than a minute of computing on a laptop the first time, seconds afterwards. No network, no GPU.*

# %%
import math
from dataclasses import replace

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

import w2s_lab as w2s
from w2s_lab import classroom as room

store = w2s.Store()

# %% [markdown]
# ## An input and an answer
#
# $x$ is an input: an instruction, and the user's text. $y$ is an answer. To a language model both are sequences of
# **tokens**, pieces of text with numbers. Here is one example as the model reads it.

# %%
splits = w2s.load_splits("sentiment", seed=0)
strong = w2s.load_model("pocket-l")
example = splits.student_train.examples[0]
(prompt_ids,), _ = strong.encode_prompts([example], strong.window)
(answer_ids,) = strong.encode_answers([example.answer])
print(strong.tokenizer.decode(prompt_ids, skip_special_tokens=True), example.answer, end="\n\n")
print(" ".join(strong.tokenizer.convert_ids_to_tokens(prompt_ids)))
print(" ".join(strong.tokenizer.convert_ids_to_tokens(answer_ids)))

# %% [markdown]
# The last two lines show the tokens: first those of $x$, then those of $y$. `Ġ` stands for a blank, `Ċ` for a new line.
# The last token of the answer says that it ends there: **the end is part of the answer**, and the model has to learn it,
# too.
#
# ## Step 1. Maximum likelihood
#
# A model with weights $\theta$ gives every answer a probability $\Pr_\theta(y|x)$. For many examples, independent of
# one another, the probabilities multiply. **Maximum likelihood** chooses the weights under which the answers that
# were seen are as likely as can be:
#
# $$\tilde\theta = \arg\max_\theta \prod_{x \in X} \Pr\nolimits_\theta(y|x)$$
#
# ## Step 2. Take the logarithm
#
# The logarithm turns the product into a sum. It is an increasing function, so the weights where the one is largest are
# the weights where the other one is:
#
# $$\arg\max_\theta \prod_{x} \Pr\nolimits_\theta(y|x) = \arg\max_\theta \sum_{x} \log \Pr\nolimits_\theta(y|x)$$
#
# Compute both, for three answers, and for three thousand of probability one half each. The second product is not 0. It
# is too small for a floating-point number.

# %%
print(f"three answers {math.prod([0.9, 0.6, 0.8]):.4f}, three thousand {0.5**3000}")
logs = [math.log(p) for p in (0.9, 0.6, 0.8)]
print(f"sum of the logs {sum(logs):.4f} nats, and back again {math.exp(sum(logs)):.4f}")
print(f"three thousand halves {3000 * math.log(0.5):.1f} nats")

# %% [markdown]
# Natural logarithms give **nats**. A log-probability is at most 0; the nearer to 0, the likelier.
#
# ## Step 3. An answer is a sequence of tokens
#
# By the chain rule of probability, each token is predicted from everything before it:
#
# $$\log\Pr(y|x) = \sum_t \log \Pr(y_t\,|\,x, y_{<t})$$
#
# **By hand.** A language model with a vocabulary of four words has read $x$. It answers *not good*, in three tokens. In
# front of each of them the network gives every word a number, its **logit** $z$; and
# $\Pr(\text{word}) = e^{z_\text{word}} / \sum_v e^{z_v}$.

# %%
words, answer = ["not", "good", "bad", "<end>"], ["not", "good", "<end>"]
logits = [[2.0, 1.0, 1.0, -1.0], [-1.0, 2.0, 1.5, 0.0], [-2.0, 0.0, 0.0, 3.0]]  # after x, "not", "not good"
by_hand = 0.0
for row, word in zip(logits, answer, strict=True):
    probability = math.exp(row[words.index(word)]) / sum(math.exp(z) for z in row)
    by_hand += math.log(probability)
    print(f"{word:<6} Pr {probability:.3f}   log Pr {math.log(probability):+.3f}")
print(f"log Pr(y|x) = {by_hand:.3f} nats, Pr(y|x) = {math.exp(by_hand):.3f}")

# %% [markdown]
# **Exercise · 8 minutes, medium.** Compute the same in torch, for any answer. `logits` has a row for each of the $T$ tokens of the answer and a
# column for each of the $V$ words; `tokens` holds the $T$ numbers of the answer's words.


# %%
def log_prob_of_answer(logits, tokens):
    """logits [T, V], tokens [T] -> log Pr(y|x), one number, in nats"""
    ...  # your code


# %%
room.check(log_prob_of_answer)

# %% [markdown]
# What you write is used: once it is right, the notebook goes on with it; until then the kit's own stands in, and a line
# says which. Both ways agree:

# %%
score, tokens = room.yours(log_prob_of_answer), torch.tensor([words.index(word) for word in answer])
in_torch = float(score(torch.tensor(logits), tokens))
print(f"by hand {by_hand:.6f}   in torch {in_torch:.6f}")
assert abs(by_hand - in_torch) < 1e-4

# %% [markdown]
# And a real model? It reads the prompt, and we look up the probability of the answer's first token. Then it reads that
# token, and we look up the next. The package's `log_prob` does the same with one reading of the whole text.

# %% tags=["nbval-ignore-output"]
log_probs = []
for t, token in enumerate(answer_ids):
    after_this = strong.network(torch.tensor([prompt_ids + answer_ids[:t]])).logits[0, -1]
    log_probs.append(after_this.log_softmax(-1)[token].item())
at_once = strong.log_prob([prompt_ids], [answer_ids]).item()
print(" + ".join(f"({value:.3f})" for value in log_probs), f"= {sum(log_probs):.3f}; at once {at_once:.3f}")
assert abs(sum(log_probs) - at_once) < 1e-3
room.fold_up(strong.network)

# %% [markdown]
# This model has only been pre-trained. It has never been asked such a question, and finds a plain *positive* or
# *negative* after "Answer:" very unlikely. That is the first thing that training will change.
#
# ### The network, all of it
#
# Between the numbers of the tokens and the logits stands `strong.network`. It is no black box: it fits on one page.
# Each token becomes a **state**, a row of numbers. Every block adds two things to a state: what it takes over from the
# states before it (attention), and what it makes of the state itself. From the last state comes a logit for each token
# of the vocabulary. The weights are all that a training changes. Unfold it above, and find the two lines of a `Block`.
#
# ## Which tokens carry loss?
#
# The wrong way first. The network predicts *every* next token, those of the prompt as well. What if we simply add up
# all of them?

# %% tags=["nbval-ignore-output"]
everything = strong.log_prob([prompt_ids[:1]], [prompt_ids[1:] + answer_ids]).item()
print(f"the whole text {everything:.1f} nats, the answer alone {at_once:.1f}")
print(f"{1 - at_once / everything:.0%} of the sum is the prompt's")
room.loss_mask(strong, example, example.answer)

# %% [markdown]
# That is $\log\Pr(x, y)$: the model would mostly be taught to **write reviews**. The objective conditions on $x$. So
# the tokens of the prompt are **masked**: they are read, but they carry no loss.
#
# Second trap: the logits in row $t$ are computed after token $t$ has been read, so they predict token $t + 1$.
#
# **Exercise · 10 minutes, hard.** Now do it with the whole text. `logits[t]` was computed after the token `ids[t]`; the answer begins at
# `ids[start]`, and everything before is the prompt.


# %%
def log_prob_behind_prompt(logits, ids, start):
    """logits [T, V], ids [T]; the answer is ids[start:] -> log Pr(y|x), one number, in nats"""
    ...  # your code


# %%
room.check(log_prob_behind_prompt)

# %% [markdown]
# Does it matter? Two copies of the strong model take the same fifteen steps on the same true answers. One learns the
# answer only; the other one the whole text. In code they differ by where the prompt ends.

# %%
room.predict(
    "01-mask",
    "After fifteen steps, which copy gives new reviews' true answers the larger $\\log\\Pr(y|x)$?",
    ["the one that learns the answer only", "the one that learns the whole text", "no difference"],
)


# %%
def after_fifteen_steps(prompts, answers):  # of 32 texts each: a copy of the strong model that has taken them
    model = strong.copy()
    optimizer = torch.optim.AdamW(model.network.parameters(), lr=1e-4)
    for at in range(0, 480, 32):
        (-model.log_prob(prompts[at : at + 32], answers[at : at + 32]).mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


# %%
learn = splits.student_train.take(range(480))
prompts, _ = strong.encode_prompts(learn.examples, strong.window)
answers = strong.encode_answers(learn.answers)
answer_only = after_fifteen_steps(prompts, answers)
whole = [prompt[1:] + answer for prompt, answer in zip(prompts, answers, strict=True)]
whole_text = after_fifteen_steps([prompt[:1] for prompt in prompts], whole)

# %% [markdown]
# Your function reads each new review with its true answer, under all three:

# %% tags=["nbval-ignore-output"]
score = room.yours(log_prob_behind_prompt)


def cost(model):  # -log Pr(y|x) of the true answers of 100 new reviews, in nats: their mean
    found = []
    for example in splits.test.examples[:100]:
        (begin,), (end,) = strong.encode_prompts([example], strong.window)[0], strong.encode_answers([example.answer])
        ids = torch.tensor(begin + end)
        found.append(float(score(model.network(ids[None]).logits[0].detach(), ids, len(begin))))
    return -np.mean(found)


# %% tags=["nbval-ignore-output"]
costs = {"whole text": cost(whole_text), "answer only": cost(answer_only)}
room.bars("−log Pr(y|x), mean over new reviews, in nats", {"before": cost(strong), **costs}).show()
assert costs["answer only"] < costs["whole text"]
why = "Without the mask most of each step goes into predicting the reviews' own words."
room.outcome("01-mask", f"the one that learns the {min(costs, key=costs.get)}", why)

# %% [markdown]
# ## Step 4. From one answer to a loss
#
# Over a batch, the *mean* over the examples is taken, so that the size of a step does not depend on the size of the
# batch; and the sign is turned, because optimizers minimise. Answers differ in length. The shorter ones are padded at the
# end, and a second mask says where.
#
# **Exercise · 8 minutes, medium.** Turn the log-probabilities of the tokens into the loss of the batch.


# %%
def batch_loss(token_log_probs, mask):
    """token_log_probs [B, T] in nats, mask [B, T] bool -> the loss, one number, nats per answer"""
    ...  # your code


# %%
room.check(batch_loss)

# %% [markdown]
# ## Step 5. Weak labels in the place of the truth
#
# Up to here this is supervised fine-tuning as usual. The one thing that is new in weak-to-strong fine-tuning: nobody
# has the true $y$ for these inputs. There is a weak supervisor, and its answer
#
# $$\hat y = \arg\max_y \Pr\nolimits^w(y|x)$$
#
# takes the place of $y$. The student starts from the pre-trained weights $\hat\theta$, and ends with
#
# $$\tilde\theta = \arg\max_\theta \sum_{x \in X} \log \Pr\nolimits^s_\theta(\hat y|x)$$
#
# (Xiao & Zhu 2025, arXiv 2501.09223, eq. 4.10). Let us have a supervisor, and its labels.

# %% tags=["nbval-ignore-output"]
plan = w2s.Plan()
start = w2s.load_model(plan.weak)
weak = store.train(start, splits.supervisor_train, plan.weak_recipe, role="weak supervisor")
labels = store.labels(weak, splits.student_train)
few = labels.take(range(960))  # x with ŷ, for the trainings below
print(f"{labels.label_accuracy:.0%} of {len(labels):,} weak labels are right")

# %% [markdown]
# What does the formula ask for? Take the simplest student there is. Some reviews it cannot tell apart; call them a
# **cell**, and let their true answer be the same. The student has **one** weight for all of them, its probability
# $\theta$ of that answer. A fraction $a$ of the cell's labels is right. Per review, the sum in the objective is then
#
# $$a \log\theta + (1-a)\log(1-\theta).$$

# %%
room.predict(
    "01-parameter",
    "Which $\\theta$ makes this sum as large as can be, and how often is the student's answer then right?",
    ["θ = 1, and it is always right", "θ = a, and it is right as often as the labels", "θ = a, and it is always right"],
)

# %% tags=["nbval-ignore-output"]
a, theta = labels.label_accuracy, np.linspace(0.01, 0.99, 99)
learns_labels = a * np.log(theta) + (1 - a) * np.log(1 - theta)
best = theta[learns_labels.argmax()]
axis, curves = ("θ, the student's probability of the true answer", theta), {"learns ŷ": learns_labels}
marks = {"θ = ½": 0.5, f"best: θ = {best:.2f}": best}
curves |= {"learns y": np.log(theta)}
room.lines(axis, "objective, nats per review", curves, role=["weak", "truth"], up=marks, y_range=(-3, 0.1)).show()
print(f"With ŷ the sum is largest at θ = {best:.2f} (the labels: {a:.0%} right). From ½ on, the answer is the truth.")

# %% tags=["nbval-ignore-output"]
assert abs(best - a) < 0.02 and best > 0.5
for tag, (right, count) in w2s.score(labels).by_slice().items():
    print(f"{tag:<18} {count:>4,} reviews, {right:.0%} of the labels right: {'most' if right > 0.5 else 'a minority'}")
room.outcome(
    "01-parameter",
    "θ = a, and it is always right",
    "a/θ = (1−a)/(1−θ) there. But an answer is the likelier of two: where most labels are right, all answers are.",
)

# %% [markdown]
# So **the student's probability copies the labels' errors, and its answer outvotes them**: in a cell, the majority
# decides. Errors that are scattered, a minority everywhere, are corrected. Errors that fill a cell, as all reviews of one
# kind may do, are learnt. And a student that can tell every review from every other has a cell for each label: it repeats
# them all.
#
# Which reviews does a network take for the same? The formula does not say. It depends on where the search starts
# ($\hat\theta$: what pre-training has laid down), on how the weights are shared between examples, and on when the
# training stops. That is what the next notebooks are about.
#
# ## The training, in the open
#
# Now the student learns, and nothing is hidden: the network reads (*forward*), your `batch_loss` says how badly it does,
# `backward` finds the gradient for every weight, and the optimizer takes a *step*. Prompt and answer go through the
# network as one text; `carries` is true where a token carries loss.

# %% tags=["nbval-ignore-output"]
recipe = w2s.Recipe(epochs=1, learning_rate=1e-4, batch_size=16, eval_every=4)  # one pass, 16 reviews a step
mine, losses, my_loss = strong.copy(), [], room.yours(batch_loss)
optimizer = torch.optim.AdamW(mine.network.parameters(), lr=recipe.learning_rate)
pairs = list(zip(mine.encode_prompts(few.examples, mine.window)[0], mine.encode_answers(few.answers), strict=True))
texts = [torch.tensor(p + a) for p, a in pairs]
masks = [torch.tensor([False] * len(p) + [True] * len(a)) for p, a in pairs]

# %% tags=["nbval-ignore-output"]
for at in range(0, len(few), 16):
    ids, carries = (pad_sequence(part[at : at + 16], batch_first=True) for part in (texts, masks))
    log_probs = mine.network(ids).logits[:, :-1].log_softmax(-1)  # forward: row t predicts token t + 1
    loss = my_loss(log_probs.gather(-1, ids[:, 1:, None])[..., 0], carries[:, 1:])
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())

# %% [markdown]
# The package's `train` does the same, and adds five things: it draws the order of the examples from a seed, puts texts of
# like length together, raises the rate at first and lowers it to 0 in the end, cuts a gradient that is too long, and
# keeps a record. Below, it trains twice: its highest
# rate is first that of the loop above, then twice that.

# %% tags=["nbval-ignore-output"]
student = store.train(strong, few, recipe, role="strong student, briefly")
twice = store.train(strong, few, replace(recipe, learning_rate=2e-4), role="the same, with twice the peak")
theirs, faster = ([snapshot.train_loss for snapshot in model.history[1:]] for model in (student, twice))
ours = np.array(losses).reshape(-1, 4).mean(-1)  # like theirs, means of four steps
curves = {"in the open, at 1e-4": ours, "train, peak 1e-4": theirs, "train, peak 2e-4": faster}
room.lines(("steps", range(4, len(losses) + 1, 4)), "loss, nats per answer", curves, y_range=None).show()
print(f"last four steps, nats per answer: {ours[-1]:.3f} in the open, {theirs[-1]:.3f} and {faster[-1]:.3f} by train")
assert max(ours[-1], theirs[-1]) < 0.2 * min(ours[0], theirs[0]) and faster[-1] < theirs[-1] / 2

# %% [markdown]
# With the same peak, `train` ends at a higher loss than the open loop. The likely reason is the rate: it rises to its peak and
# falls to 0, so its mean is about half of the peak, and sixty steps take the student less far. With twice the peak, the mean
# rate is about that of the open loop, and so is the loss at the end. We keep the student with the lower peak.
#
# ## Exchange a symbol
#
# * $y$ in the place of $\hat y$: the strong model learns the truth. That is the **strong ceiling**.
# * $\Pr^w$ in the place of $\Pr^s$: the weak model is trained on its own answers.
#
# We run all three, briefly: one pass over a part of the labels.

# %%
room.predict(
    "01-swap",
    "The weak model goes on training, on the answers that it gave itself. What changes most?",
    ["its accuracy", "its confidence", "nothing"],
)

# %%
true = splits.student_train.take(range(960))  # the same x with y
ceiling = store.train(strong, true, recipe, role="strong ceiling, briefly")
itself = store.train(weak, few, recipe, role="weak model on its own labels")

# %% tags=["nbval-ignore-output"]
test = splits.test.take(range(400))
reference = store.labels(weak, test)
models = {"Pr^w": weak, "Pr^s learns ŷ": student, "the same, in the open": mine}
models |= {"Pr^s learns y": ceiling, "Pr^w learns ŷ": itself}
scores = {name: w2s.evaluate(model, test, reference) for name, model in models.items()}
print(f"{'':<22} accuracy  agreement  mean confidence")
for name, score in scores.items():
    print(f"{name:<22} {score.accuracy:>8.2f} {score.agreement:>10.2f} {score.probs.max(-1).mean():>16.2f}")

# %% tags=["nbval-ignore-output"]
old, now = scores["Pr^w"], scores["Pr^w learns ŷ"]
surer, better = now.probs.max(-1).mean() - old.probs.max(-1).mean(), now.accuracy - old.accuracy
assert scores["Pr^s learns y"].accuracy > scores["Pr^s learns ŷ"].accuracy > old.accuracy
found = "its confidence" if surer > abs(better) else "its accuracy"
found = found if max(surer, abs(better)) > 0.02 else "nothing"
why = "ŷ is its likeliest answer already: it becomes surer of it, mistakes included."
room.outcome("01-swap", found, why)

# %% [markdown]
# ## Token by token
#
# Choose an example, an answer and a model. Grey tokens are read but carry no loss; the answer's tokens carry
# $-\log\Pr(y_t|x, y_{<t})$. Untick *prompt masked* to see the mistake from above. Compare the strong model before and
# after its short training: what has it learnt first?

# %% tags=["nbval-ignore-output"]
wrong = [i for i in range(len(few)) if few.answers[i] != true.answers[i]]
right = [i for i in range(len(few)) if few.answers[i] == true.answers[i]]
models = {"weak": weak, "strong, before": strong, "student": student}
room.token_viewer(models, few.take(wrong[:4] + right[:4]))

# %% [markdown]
# ## Where the gradient pulls
#
# At one place, with logits $z$ and $p = \mathrm{softmax}(z)$, the loss of the label is
# $-\log p_{\hat y} = -z_{\hat y} + \log\sum_v e^{z_v}$. Its derivative:
#
# $$\frac{\partial(-\log p_{\hat y})}{\partial z} = p - \mathrm{onehot}(\hat y)$$
#
# A step goes against the gradient: it pushes the **label's logit up** with the strength $1 - p_{\hat y}$, and every other
# one down with its own $p$. (How far they move is another matter: all examples share the weights.)
#
# **Exercise · 5 minutes, medium.** Write the gradient as a function.


# %%
def slope_at_logits(logits, label):
    """logits [V], label: a word's number -> gradient of -log Pr(label) at the logits, [V]"""
    ...  # your code


# %%
room.check(slope_at_logits)

# %% [markdown]
# Torch finds the same derivative:

# %%
slope = room.yours(slope_at_logits)
z = torch.tensor([2.0, 1.0, 0.0], requires_grad=True)
(-z.log_softmax(-1)[1]).backward()
print("p             ", z.detach().softmax(-1).numpy().round(3))
print("p - onehot(1) ", slope(z.detach(), 1).numpy().round(3))
print("torch         ", z.grad.numpy().round(3))

# %% [markdown]
# Now a weak label that is **wrong**. Of those, take the review whose true answer the briefly trained student is surest
# of.

# %% tags=["nbval-ignore-output"]
opinion = store.labels(student, few)  # what the student itself says of the same reviews
column = {answer: k for k, answer in enumerate(few.task.answers)}
sure_of_truth = [opinion.probs[i, column[true.answers[i]]] for i in wrong]
one = few.take([wrong[int(np.argmax(sure_of_truth))]])
truth, label = one.examples[0].answer, one.answers[0]
print(one.examples[0].input)
print(f"truth {truth}, weak label {label}; the student's Pr(truth|x) is {max(sure_of_truth):.2f}")

# %%
room.predict(
    "01-wrong-label",
    "The student is rightly sure. Now it takes a step on this wrong label. Its probability of the truth …",
    ["rises: it knows better", "stays: it is sure", "falls"],
)

# %% tags=["nbval-ignore-output"]
steps = w2s.training_steps(student.copy(), one, w2s.Recipe(epochs=8, learning_rate=1e-4), watch=one)
path = [float(snapshot.evaluation.probs[0, column[truth]]) for snapshot in steps]
axis, half = ("steps on this one wrong label", range(len(path))), {"below this it says what the label says": 0.5}
room.lines(axis, "the student's Pr(truth|x)", {"": path}, role="student", across=half).show()
print(f"Pr(truth|x) {path[0]:.3f}, after one step {path[1]:.3f}, after {len(path) - 1} steps {path[-1]:.3f}")
assert path[-1] < path[0]
why = "The objective rewards Pr(ŷ|x) and nothing else: the truth does not occur in it."
room.outcome("01-wrong-label", "falls" if path[1] < path[0] else "rises: it knows better", why)

# %% [markdown]
# The surer the student is of the truth, the *harder* a wrong label pulls: with $1 - p_{\hat y}$. A right label hardly
# pulls at all then. So what becomes of the balance while the student learns? Measure it where the answer is decided, at
# its first token, with $p$ over the whole vocabulary as above.

# %%
room.predict(
    "01-share",
    "Wrong labels are a minority. After the short training, what is their share of all the pull?",
    ["less than their share of the labels", "about the same", "more than their share of the labels"],
)

# %% tags=["nbval-ignore-output"]
firsts = [ids[:1] for ids in strong.encode_answers(few.answers)]
prompts, _ = strong.encode_prompts(few.examples, strong.window)
with torch.no_grad():
    pulls = [1 - model.log_prob(prompts, firsts).exp().numpy() for model in (strong, student)]
share, (before, after) = len(wrong) / len(few), (pull[wrong].sum() / pull.sum() for pull in pulls)
shares = {"wrong labels among all": share, "their share of the pull, before": before}
room.bars("fraction", {**shares, "their share of the pull, after": after}, role=["weak", "same", "same"]).show()
print(f"{share:.0%} of the labels are wrong; {after:.0%} of the pull is theirs after one pass.")

# %% tags=["nbval-ignore-output"]
more = after - share
found = f"{'more' if more > 0 else 'less'} than their share of the labels"
found = found if abs(more) > 0.05 else "about the same"
assert after > before
why = "Labels that are learnt hardly pull any more; those that contradict them go on. See notebook 04."
room.outcome("01-share", found, why)

# %% [markdown]
# ## Quiz

# %%
room.quiz("01")

# %% [markdown]
# ## What this does not show
#
# That one step makes the truth less likely does not mean that the student ends up worse: the same weights serve all
# reviews, and most labels are right. How these pulls add up over a training, and why the first passes mostly bring
# out what pre-training has laid down, is measured in notebooks 03 and 04. Answers with one content word are the
# simplest case; with longer ones the sum over the tokens does the same, token by token.
#
# **Next:** `02_weak_labels.ipynb` looks at where $\hat y$ comes from.
