"""The open task of notebook 12: several forecasts are right, and each criterion can be missed."""

from w2s_lab.classroom.exercises import EXERCISES
from w2s_lab.classroom.exercises.judging import judge

FORECAST = EXERCISES["my_forecast"]


def changed(**parts):
    return lambda: {**FORECAST.answer(), **{name.replace("_", " "): part for name, part in parts.items()}}


def test_every_criterion_of_the_forecast_can_be_missed():
    misses = [
        (changed(cells="verdict"), "`cells` are neighbours or clusters"),
        (changed(cells="20 clusters"), "is surely right more often"),
        (changed(late="405 neighbours"), "`late` are neighbours"),
        (changed(late="the supervisor's own answer"), "`late` are neighbours"),
        (changed(real_English="helps"), "`real English` says"),
        (changed(made_of=["weak labels", "true answers"]), "`made of` names"),
        (changed(limits=["one seed only"]), "`limits` gives two reasons"),
    ]
    for forecast, words in misses:
        verdict = judge(FORECAST, forecast)
        assert verdict.state == "wrong" and words in verdict.says.partition("Still open:")[2], (words, verdict.says)


def test_other_forecasts_are_right_too():
    assert judge(FORECAST, changed(late="1 neighbour")).state == "right"
