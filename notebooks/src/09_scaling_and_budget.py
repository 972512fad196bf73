# %% [markdown]
# # 09 · Scaling and budget
#
# **Question.** Which pair of models, how many labels of which kind, and where does the next unit of money help most?
#
# **At the end** you can read a heat map of recovered gaps without being fooled by its darkest cells, say why no
# supervisor is trained twice, price a plan with all that it takes, find the plans that are worth their money, and
# design a pipeline of your own that a check by measured numbers accepts.
#
# *A few seconds of computing: most numbers come from studies that are shipped with the kit. No network, no GPU.*

# %%
import matplotlib.pyplot as plt

import w2s_lab as w2s
from w2s_lab import classroom as room
from w2s_lab import mixing
from w2s_lab.classroom.dashboards.budget_explorer import measured_grid
from w2s_lab.experiments.effects import Effect, difference, paired_effect
from w2s_lab.experiments.procedure import Plan
from w2s_lab.studies.scaling import confidence_points
from w2s_lab.studies.study import column, select

store = w2s.Store()
scaling, budget = room.measured("scaling"), room.measured("budget")

# %% [markdown]
# ## Every pair of a ladder
#
# The kit's ladder has five pre-trained models; four of them were measured in these pairs, on the sentiment task. No
# student is smaller than its supervisor, and a rung that makes next to no errors supervises only its own size. All are
# fine-tuned for equally many steps, each rung at the learning rate that its own validation set chose.

# %%
rungs = list(scaling["rates"])
pairs = [(cell["weak"], cell["strong"]) for cell in scaling["cells"]]
seeds = len({row["seed"] for row in scaling["rows"] if row["part"] == "pairs"})
print(" < ".join(rungs), f"→ {len(pairs)} pairs, {seeds} seeds")

# %% [markdown]
# Each pair needs a weak supervisor, a strong student and a strong ceiling. **By hand**, for one seed: how many
# trainings if each pair makes its own three?

# %%
3 * len(pairs)

# %% [markdown]
# Most of them would be the same training again. A supervisor learns the truth of its own half of the data, whoever
# its student will be. A ceiling learns the truth of the other half, whoever the supervisor was. Only the student
# depends on both.

# %%
room.predict(
    "09-once",
    "How many trainings are left, for one seed, if nothing is trained twice?",
    ["9", "13", "17", "22"],
)

# %%
supervisors, ceilings, students = {weak for weak, _ in pairs}, {strong for _, strong in pairs}, set(pairs)
found = len(supervisors) + len(ceilings) + len(students)
room.outcome("09-once", f"{found}", "A supervisor and a ceiling for each rung that needs one, a student for each pair.")

# %% [markdown]
# In the kit nobody has to plan this. A store keeps every training under a key made of all that it depends on: model,
# examples, answers, recipe, seed. If the same training is asked for twice, the second time it is
# read from the store. Here are three pairs, on very few examples, so that it takes seconds; watch the keys, not the
# accuracies.

# %%
few = w2s.load_splits("sentiment", seed=0, sizes=w2s.SplitSizes(200, 200, 100, 0))
recipe = w2s.Recipe(epochs=1, learning_rate=5e-4)
asked = len(store.asked)
for weak, strong in (("pocket-xs", "pocket-xs"), ("pocket-xs", "pocket-s"), ("pocket-s", "pocket-s")):
    bench = w2s.Bench(few, Plan(weak, strong, recipe, recipe), store, seed=0)
    bench.student(bench.labels)
keys = store.asked[asked:]
print(f"{len(keys)} trainings asked for, {len(set(keys))} different ones")
assert len(keys) == 9 and len(set(keys)) == 7

# %% [markdown]
# And in the whole study, with its part on the gap, which comes further down:

# %%
print("{asked for:,} trainings asked for, {different:,} different ones: {saved:,} saved".format(**scaling["trainings"]))

# %% [markdown]
# ## The heat map
#
# First the question that scaling is about (Burns et al. 2023, arXiv 2312.09390, section 4.2, found that larger
# students recover more of their gap).

# %%
room.predict(
    "09-size",
    "pocket-s supervises pocket-m, and pocket-l, which is three times as large. What does the PGR do?",
    ["it rises with the student", "it stays about the same", "it falls with the student"],
)

# %%
cells = {(cell["weak"], cell["strong"]): cell for cell in scaling["cells"]}
line = {strong: cells["pocket-s", strong]["plain"]["pgr"]["mean"] for strong in ("pocket-m", "pocket-l")}
print("  ".join(f"{strong} {pgr:.2f}" for strong, pgr in line.items()))
change = line["pocket-l"] - line["pocket-m"]
options = ["it rises with the student", "it stays about the same", "it falls with the student"]
found = options[0 if change > 0.1 else 2 if change < -0.1 else 1]
room.outcome("09-size", found, "These students all know the task; a larger one only learns faster, wrong labels too.")

# %% [markdown]
# But is that a finding? The difference of the largest and the smallest of these students, paired by seed:

# %%
plain = {"part": "pairs", "weak_model": "pocket-s"}
largest, smallest = (
    column(select(scaling["rows"], **plain, strong_model=strong), "pgr") for strong in ("pocket-l", "pocket-m")
)
effect = paired_effect("pocket-l minus pocket-m", largest, smallest)
print(f"PGR, pocket-l minus pocket-m: {difference(effect)}, {effect.n} seeds: {effect.verdict}")

# %% [markdown]
# The interval holds 0. And a condition of the claim is not met: the ceiling of pocket-l is not above that of pocket-m, so
# it knows no more of this task. In the findings table stands *conditions not met*. Now look at all pairs. Move the two
# sliders through the cells; change what is shown, such as the PGR where trusted examples stop the student.

# %%
room.heat_map(scaling)

# %% [markdown]
# ## Three traps of a heat map
#
# **Undefined is not zero.** Where the ceiling is not above the supervisor there is no gap that could be recovered. A cell
# without any defined PGR is hatched. Where the PGR is defined in some seeds only, the cell says in how many.

# %%
for cell in scaling["cells"]:
    at, plain = cell["plain"]["pgr"], cell["plain"]
    if at["n"] < seeds:
        three = f"supervisor {plain['weak']['mean']:.3f}, ceiling {plain['ceiling']['mean']:.3f}"
        print(f"{cell['weak']:>9} → {cell['strong']:<9} defined in {at['n']} of {seeds} seeds; {three}")

# %% [markdown]
# **A dark cell may be one example.** PGR divides by the gap. Where the gap is small, a single test example makes a PGR
# large, above 0 or below. Take two dark cells and a pale one. How many more examples does the student get right than its
# supervisor, of 1,000?

# %%
tests = scaling["sizes"][2]
for weak, strong in (("pocket-m", "pocket-m"), ("pocket-l", "pocket-l"), ("pocket-xs", "pocket-m")):
    plain = cells[weak, strong]["plain"]
    more = round(tests * (plain["accuracy"]["mean"] - plain["weak"]["mean"]))
    side = "fewer" if more < 0 else "more"
    print(
        f"{weak:>9} → {strong:<9} PGR {plain['pgr']['mean']:+.2f}: {abs(more)} {side} of {tests:,} test examples right"
    )

# %% [markdown]
# **The diagonal is a question of its own.** Supervisor and student of one size, trained for as many steps:
# *strong-to-strong*. Is a student better than a teacher of its own kind (Furlanello et al. 2018, arXiv 1805.04770, called
# such students born-again)?

# %%
for rung in (weak for weak, strong in pairs if weak == strong):
    gain = Effect(**{k: v for k, v in cells[rung, rung]["student above supervisor"].items() if k != "verdict"})
    print(f"{rung:<10} student minus supervisor {difference(gain)}  {gain.verdict}")

# %% [markdown]
# ## Where does the confidence loss help?
#
# In notebook 06 a student learnt to trust itself. Burns et al. found that this helps where the gap is large. Two pairs of
# a ladder differ in more than their gap, so the study also varies the gap alone: one student, and supervisors of one
# rung that made more and more passes over the truth. The control is the loss's own zero, soft labels.

# %%
room.predict(
    "09-confidence",
    "Where does the confidence loss gain most against soft labels, if both students stop where trusted examples say?",
    ["where the gap between supervisor and ceiling is small", "where the gap is large", "one cannot tell"],
)

# %%
for found in scaling["gaps"]:
    gap, plain = found["gap"]["mean"], found["plain"]
    change = Effect(**{k: v for k, v in found["confidence at the trusted snapshot"].items() if k != "verdict"})
    print(f"{found['passes']} passes: gap {gap:.3f}, PGR of hard labels {plain['pgr']['mean']:.2f} at the end, "
          f"{plain['trusted_pgr']['mean']:.2f} stopped; confidence loss {difference(change)}")  # fmt: skip

# %%
w2s.study_plots.gap_scatter(*confidence_points(scaling["rows"], "trusted_accuracy"))
plt.show()
for moment, key in (("at the end", "confidence against gap"), ("stopped", "confidence against gap, trusted")):
    fit = scaling[key]
    print(f"{moment}: slope {fit['slope']:+.2f} [{fit['low']:+.2f}, {fit['high']:+.2f}], {fit['clusters']} seeds")

# %%
sides = ["where the gap between supervisor and ceiling is small", "where the gap is large", "one cannot tell"]
found = sides[2 if fit["low"] <= 0 <= fit["high"] else 1 if fit["slope"] > 0 else 0]
why = "At the end it gains where the gap is large: the control has learnt most errors. Stopped, it has learnt few."
room.outcome("09-confidence", found, why)

# %% [markdown]
# ## What does a plan cost?
#
# Now the money. A **plan** buys *n* human labels at price $c_h$ and *m* weak labels at price $c_w$:
#
# $$\text{cost} = n\,c_h + m\,c_w$$
#
# **By hand.** 30 human labels at 10 and 500 weak labels at 1:

# %%
30 * 10 + 500 * 1

# %% [markdown]
# That is what is usually counted. But a weak label comes from a supervisor, and the supervisor learnt from truth that
# somebody was paid for.
#
# **Exercise · 5 minutes, easy.** Compute the cost of each plan. Wherever there are weak labels, it includes the truth that the
# supervisor learnt.


# %%
def plan_costs(plans, human_cost, weak_cost, taught):
    """plans: list of (human labels, weak labels); taught: how many truths a supervisor learnt. A list of costs."""
    ...  # your code here


# %%
room.check(plan_costs)

# %% [markdown]
# The package's `mixing.cost` prices what it is told. The plans that were measured, mean accuracy over eight seeds,
# each student with as many optimizer steps:

# %%
grid = measured_grid(budget)
weak_counts = sorted({point.weak for point in grid})
print(f"{'human':>6}" + "".join(f"{weak:>10,} weak" for weak in weak_counts))
for human in sorted({point.human for point in grid}):
    row = {point.weak: f"{point.accuracy:.3f}" for point in grid if point.human == human}
    print(f"{human:>6,}" + "".join(f"{row.get(weak, '–'):>15}" for weak in weak_counts))

# %% [markdown]
# Read a row from left to right: with human labels in hand, **more weak labels make it worse** here. And read the
# first column: very few true answers are enough. These models know the verdict from pre-training, and need only be
# shown how it is asked for.
#
# ## Which plans are worth their money?
#
# A plan is on the **Pareto frontier** if no other plan that costs as much or less is at least as accurate.
#
# **Exercise · 12 minutes, hard.** Return the numbers of these plans, from the cheapest to the dearest.


# %%
def pareto_frontier(costs, accuracies):
    """Two lists of the same length; the numbers (from 0) of the plans on the frontier, cheapest first."""
    ...  # your code here


# %%
room.check(pareto_frontier)

# %% [markdown]
# **Exercise · 5 minutes, easy.** A team has a quality floor. Return the number of the cheapest plan whose accuracy is at least `floor`,
# or None.


# %%
def cheapest_plan(costs, accuracies, floor):
    """Two lists of the same length and a number; a number from 0, or None where no plan reaches the floor."""
    ...  # your code here


# %%
room.check(cheapest_plan)

# %% [markdown]
# Now the measured plans, through your two functions. (The package's are `mixing.frontier` and `mixing.cheapest`.) Does
# the frontier change with the price of a human label?

# %%
on_frontier, cheapest = room.yours(pareto_frontier), room.yours(cheapest_plan)
right = [point.accuracy for point in grid]
for price in (5, 10, 20, 50, 100):
    paid = [mixing.cost(point.human, point.weak, human_cost=price, weak_cost=1) for point in grid]
    plans = ", ".join(f"{grid[i].human}h+{grid[i].weak:,}w" for i in on_frontier(paid, right))
    first = grid[cheapest(paid, right, 0.9)]
    print(f"human label at {price:>3}: frontier {plans}; cheapest for 0.90: {first.human}h+{first.weak:,}w")

# %% [markdown]
# ## Where does the next unit help most?

# %%
room.predict(
    "09-next",
    "You have 500 weak labels and no human one. A human label costs 10, a weak one 1. Where does the next unit of "
    "money help most?",
    ["human labels", "weak labels", "the same"],
)

# %%
start = next(point for point in grid if (point.human, point.weak) == (0, 500))
human, weak = mixing.next_unit(grid, start, human_cost=10, weak_cost=1)
for name, gain in (("human", human), ("weak", weak)):
    print(
        f"{name:<6} {100 * gain.per_unit:+.4f} accuracy per 100 units of money, standard error {100 * gain.error:.4f}"
    )
found = "human labels" if human.per_unit > weak.per_unit else "weak labels"
room.outcome("09-next", found, "A human label is dear, and gains more per unit of money here.")

# %% [markdown]
# Eight seeds: a difference below two standard errors is a hint and no more. Now with your own prices. What is the
# price of a human label at which weak labels alone are the best that you can pay?

# %%
room.budget_explorer(budget)

# %% [markdown]
# The frontier is chosen by measured means, so plans that were lucky look better than they are. And the explorer does not count
# what the supervisor costs. With the supervisor's truth in the bill, and a human label at 10:

# %%
charge = room.yours(plan_costs)
paid = charge([(point.human, point.weak) for point in grid], 10, 1, budget["sizes"][0])
bills = dict(zip(grid, paid, strict=True))
for point in sorted(bills, key=bills.get):
    print(f"{bills[point]:>7,.0f} units: {point.human:>5,} human, {point.weak:>5,} weak, accuracy {point.accuracy:.3f}")

# %% [markdown]
# Weak labels pay where the supervisor is there anyway: an older model, a smaller one that is in use.
#
# ## The same labels, used better
#
# Order and weight cost nothing. Take 100 human and 1,500 weak labels, mixed together. What changes if they are used in another
# way?

# %%
room.predict(
    "09-ways",
    "Which of these helps most, compared with the human labels mixed in?",
    ["every human label counts 5 times", "first the human labels", "the human labels last"],
)

# %%
ways = [Effect(**{key: value for key, value in one.items() if key != "verdict"}) for one in budget["ways"]]
w2s.study_plots.effect_dots(ways, control_name="the truth mixed in")
plt.show()
names = {"counted 5 times": "every human label counts 5 times", "first": "first the human labels"}
names |= {"last": "the human labels last"}
best = max((way for way in ways if way.name in names), key=lambda way: way.mean)
room.outcome("09-ways", names[best.name], f"{difference(best)}. No weak label is learnt after them.")

# %% [markdown]
# ## Design a pipeline
#
# **Open task · 20 minutes, hard.** You are to make the training set of an assistant, most of it synthetic. Return a dictionary; ten
# criteria judge it by what was measured.
#
# * `labels`: `{"human": n, "weak": m, "way": ...}`, a plan of the budget study; ways are `"mixed in"` (any plan of
#   the table above), and for 100 human and 1,500 weak labels also `"counted 5 times"`, `"first"`, `"last"`;
# * `held_out`: further human labels that nothing is trained on;
# * `flywheel`: `{"run": ..., "rounds": 1 to 4}`, a run of notebook 08's dashboard; 300 proposals a round;
# * `near_duplicate`: a ROUGE-L from which on a proposal is refused;
# * `checks`: a list of dials that you look at in each round, by the names on the dashboard;
# * `stop`: `"held-out accuracy"`, `"label accuracy"` or `"after a fixed number of rounds"`;
# * `control`: `{"human": n, "weak": m}`, what you compare with, at the same cost or less.
#
# A human label costs 20, held out or not; a weak label or a proposal 1. The budget is 6,500, the quality floor an
# accuracy of 0.93, and at least 800 examples are to be synthetic. (The supervisor is there already.)


# %%
def my_pipeline():
    """Your design, as a dictionary with the seven keys above."""
    ...  # your code here


# %%
room.check(my_pipeline)

# %% [markdown]
# <details><summary>A sample discussion. Unfold it when your answer is accepted.</summary>
#
# A plan that passes is not yet a good plan. Its parts were measured apart: labels in one study, the flywheel in another. The
# first thing to do is a pilot of one round, with the control beside it.
#
# And the control may win. If a hundred true answers alone are as good, the synthetic examples have to be wanted for
# another reason: to cover what people have no time for, or to keep their texts private.
#
# </details>

# %% [markdown]
# No study measured labels and flywheel *together*: the first thing that your pipeline needs is a pilot round. And
# what would the control have done? Every student took as many optimizer steps:

# %%
for seed in range(8):
    found = {(row["human"], row["weak_labels"]): row for row in select(budget["rows"], way="mixed in", seed=seed)}
    alone, both = (found[100, weak]["accuracy"] for weak in (0, 500))
    print(f"seed {seed}: 100 human labels alone {alone:.3f}, with 500 weak ones mixed in {both:.3f}")
    assert alone > both

# %% [markdown]
# In every seed the control is ahead. In this world a hundred true answers do better alone, and only the control
# shows it.
#
# ## Quiz

# %%
room.quiz("09")

# %% [markdown]
# ## What this does not show
#
# * A heat map of means hides the intervals of its cells. Read the sentence under it.
# * The ladder spans a factor of about two hundred in parameters and ends at a model that a laptop fine-tunes in
#   minutes. Nothing here says what happens between models that are each a million times larger.
# * That very few human labels are enough holds where pre-training has the answer ready. On the helpdesk, where rules
#   have to be learnt, a hundred true decisions leave more to be desired (notebook 08).
# * Money is not everything: latency, privacy, and people who can judge the answers at all. Where nobody can, there is no
#   human label to buy, and weak supervision is not the cheap way but the only one.
#
# **Next.** [10 · Your models, your data](10_your_models_your_data.ipynb): the same ten lines with other models and
# your own file.
