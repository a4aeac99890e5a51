"""The rules, in the order in which they run. Nothing is discovered: a rule that is not in this list does not exist."""

from heaphound.diagnose.finding import Rule
from heaphound.diagnose.rules import (
    cancellation_registrations,
    deadlock,
    event_subscribers,
    free_space,
    growing_collection,
    interned_strings,
    load_contexts,
    native_memory,
    rooted_objects,
    thread_pool_queue,
    timers,
    waiting_methods,
)

RULES: tuple[Rule, ...] = (
    event_subscribers.RULE,
    growing_collection.RULE,
    rooted_objects.RULE,
    timers.RULE,
    cancellation_registrations.RULE,
    waiting_methods.RULE,
    thread_pool_queue.RULE,
    load_contexts.RULE,
    interned_strings.RULE,
    deadlock.RULE,
    native_memory.RULE,
    free_space.RULE,
)
