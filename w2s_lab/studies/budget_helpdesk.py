"""The budget study where rules have to be learnt, so that a little truth does not say it all: the helpdesk."""

from w2s_lab.studies.budget import on

STUDY = on("helpdesk", "budget_helpdesk")
