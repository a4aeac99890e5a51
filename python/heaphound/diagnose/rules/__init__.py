"""The rules, in the order in which they run. Nothing is discovered: a rule that is not in this list does not exist."""

from heaphound.diagnose.finding import Rule
from heaphound.diagnose.rules import event_subscribers, growing_collection, rooted_objects

RULES: tuple[Rule, ...] = (event_subscribers.RULE, growing_collection.RULE, rooted_objects.RULE)
