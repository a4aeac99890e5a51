"""Hand-written logical stacks for the views."""

from heaphound.address import Address
from heaphound.results.answer import Answer, Coverage
from heaphound.results.tasks import AsyncFrameRow, AsyncStackRow, AsyncThreadRow, TasksResult
from tests.unit.answers import DUMP

TASKS = Answer(
    DUMP,
    Coverage(),
    TasksResult(
        (
            AsyncStackRow(
                20_000,
                (
                    AsyncFrameRow(
                        "Shop.Gateway.Call", 0, Address(0x7F43D680A798), "Shop.Gateway+<Call>d__1", "Gateway.cs", 28, await_line=31
                    ),
                    AsyncFrameRow("Task.WhenAll", None, Address(0x7F43D680A7B8), "System.Threading.Tasks.Task+WhenAllPromise", kind="all"),
                    AsyncFrameRow("Shop.Orders.Place", 2, Address(0x7F43D680A7F8), "Shop.Orders+<Place>d__7"),
                ),
                "System.Threading.Tasks.Task<System.String>",
                Address(0x7F43D680A048),
                9_600_000,
                "a TaskCompletionSource that nobody has completed, held by Shop.Gateway.reply",
                blocked=(AsyncThreadRow(4711, 7, "orders", "Shop.Orders.Drain()", "task"),),
            ),
            AsyncStackRow(
                1,
                (AsyncFrameRow("Shop.Poller.Run", -1, Address(0x7F43D6900000), "Shop.Poller+<Run>d__0"),),
                None,
                waits_for="nothing: it runs",
                running=(AsyncThreadRow(4712, 8, None, "Shop.Poller.Poll()", "sleep"),),
            ),
            AsyncStackRow(
                1,
                (
                    AsyncFrameRow("Shop.Feed.Read", -4, Address(0x7F43D6900100), "Shop.Feed+<Read>d__2"),
                    AsyncFrameRow("Shop.Feed.Log(Task)", None, Address(0x7F43D6900200), "ContinuationTask", kind="continuation"),
                ),
                None,
            ),
        ),
        40_001,
        3,
        1,
        5,
    ),
)
